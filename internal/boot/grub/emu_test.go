package grub_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/grub"
	"github.com/moult-ota/moult/internal/boot/variables"
	"github.com/moult-ota/moult/internal/slot"
)

// A board is a disk image that GRUB itself boots from: grub-emu runs
// contrib/grub/moult.cfg on it, and stops where a kernel would start.
type board struct {
	t     *testing.T
	path  string
	files [4]int64 // where lock 1, env 1, lock 2 and env 2 are in it
}

const (
	sectors   = 16384 // of each partition
	firstPart = 2048
)

// console replaces what grub-emu cannot do.
const console = `function linux { echo "kernel" $*; }
function initrd { echo "initrd" $*; exit; }
source $prefix/moult.cfg
`

func newBoard(t *testing.T, kind string) *board {
	t.Helper()
	dir := t.TempDir()
	b := &board{t: t, path: filepath.Join(dir, "disk")}
	cfg := read(t, "../../../contrib/grub/moult.cfg")
	put(t, dir, map[string]string{"boot/grub/grub.cfg": console, "boot/grub/moult.cfg": string(cfg), "slot/boot/vmlinuz": "kernel", "slot/boot/initrd.img": "initrd"})
	if err := grub.Create(filepath.Join(dir, "boot/grub")); err != nil {
		t.Fatal(err)
	}
	names := []string{"mender_grubenv1/lock", "mender_grubenv1/env", "mender_grubenv2/lock", "mender_grubenv2/env"}
	whole := map[string][]byte{}
	for i, name := range names { // marked, to be found in the image
		path := filepath.Join(dir, "boot/grub", name)
		whole[name] = read(t, path)
		put(t, dir, map[string]string{filepath.Join("boot/grub", name): strings.Repeat(fmt.Sprintf("find me %d ", i), 103)[:grub.Size]})
	}
	image := make([]byte, (firstPart+3*sectors)*512)
	table(image)
	for i, part := range []struct{ kind, from string }{{kind, "boot"}, {"ext4", "slot"}, {"ext4", "slot"}} {
		copy(image[(firstPart+i*sectors)*512:], fileSystem(t, filepath.Join(dir, part.from), part.kind))
	}
	for i, name := range names {
		at := bytes.Index(image, []byte(strings.Repeat(fmt.Sprintf("find me %d ", i), 50)))
		if at < 0 {
			t.Fatalf("%s is not in the image", name)
		}
		b.files[i] = int64(at)
		copy(image[at:], whole[name])
	}
	put(t, dir, map[string]string{"disk": string(image), "map": "(hd0) " + b.path + "\n"})
	return b
}

func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// table writes an MBR with three partitions.
func table(image []byte) {
	copy(image[440:], "\x78\x56\x34\x12")
	for i := range 3 {
		e := image[446+16*i:]
		e[4] = 0x83
		binary.LittleEndian.PutUint32(e[8:], uint32(firstPart+i*sectors))
		binary.LittleEndian.PutUint32(e[12:], sectors)
	}
	copy(image[510:], "\x55\xaa")
}

func fileSystem(t *testing.T, from, kind string) []byte {
	t.Helper()
	path := from + "." + kind
	if err := os.WriteFile(path, make([]byte, sectors*512), 0o644); err != nil {
		t.Fatal(err)
	}
	commands := [][]string{{"mke2fs", "-q", "-t", kind, "-d", from, path}}
	if kind == "vfat" {
		commands = [][]string{{"mkfs.vfat", path}, {"mcopy", "-s", "-i", path, filepath.Join(from, "grub"), "::/grub"}}
	}
	for _, c := range commands {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", c, err, out)
		}
	}
	return read(t, path)
}

var said = regexp.MustCompile(`kernel /boot/vmlinuz root=PARTUUID=12345678-0([23]) moult.slot=([AB]) `)

// boot runs GRUB until it would start a kernel, and returns of which slot.
func (b *board) boot() slot.Slot {
	b.t.Helper()
	cmd := exec.Command("grub-emu", "-m", filepath.Join(filepath.Dir(b.path), "map"), "-r", "hd0,msdos1", "-d", "/grub")
	cmd.Env = append(os.Environ(), "TERM=dumb")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	flat := strings.NewReplacer("\r", "", "\n", "").Replace(out.String())
	m := said.FindStringSubmatch(flat)
	if m == nil || !strings.Contains(flat, "initrd /boot/initrd.img") {
		b.t.Fatalf("grub-emu: %v: said %q", err, out.String())
	}
	s, _ := slot.Parse(m[2])
	if want := map[string]slot.Slot{"2": slot.A, "3": slot.B}[m[1]]; s != want {
		b.t.Fatalf("GRUB starts slot %v with the root of %v", s, want)
	}
	return s
}

// with calls f with the environment in the image.
func (b *board) with(f func(*grub.Disk) error) {
	b.t.Helper()
	image, err := os.OpenFile(b.path, os.O_RDWR, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer image.Close()
	at := func(n int) inImage { return inImage{image, b.files[n]} }
	if err := f(grub.On(grub.Copy{Lock: at(0), Env: at(1)}, grub.Copy{Lock: at(2), Env: at(3)})); err != nil {
		b.t.Fatal(err)
	}
}

func (b *board) open(d *grub.Disk) boot.Env {
	b.t.Helper()
	e, err := variables.Open(d, variables.Parts{"2", "3"})
	if err != nil {
		b.t.Fatal(err)
	}
	return e
}

type inImage struct {
	f   *os.File
	off int64
}

func (p inImage) ReadAt(b []byte, off int64) (int, error) {
	return io.NewSectionReader(p.f, p.off, grub.Size).ReadAt(b, off)
}
func (p inImage) WriteAt(b []byte, off int64) (int, error) { return p.f.WriteAt(b, p.off+off) }
func (p inImage) Sync() error                              { return nil }

func (b *board) save(v boot.Vars) {
	b.t.Helper()
	b.with(func(d *grub.Disk) error { return b.open(d).Save(v) })
}

func (b *board) load() (v boot.Vars) {
	b.t.Helper()
	b.with(func(d *grub.Disk) (err error) { v, err = b.open(d).Load(); return err })
	return v
}

func (b *board) settle() {
	b.t.Helper()
	b.with((*grub.Disk).Settle)
}
