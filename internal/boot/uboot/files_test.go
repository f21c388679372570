package uboot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/boot/variables"
)

// bench is a folder with a disk that holds an environment at the offsets.
type bench struct {
	t   *testing.T
	dir string
}

func newBench(t *testing.T, offsets ...int) *bench {
	b := &bench{t, t.TempDir()}
	disk := make([]byte, 0x8000)
	for _, off := range offsets {
		p, err := AppendCopy(nil, Copy{Set: variables.Set{"a": "1"}}, 0x1000, len(offsets) == 2)
		b.ok(err)
		copy(disk[off:], p)
	}
	b.ok(os.WriteFile(b.path("disk"), disk, 0o600))
	return b
}

func (b *bench) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// open opens a configuration; @ stands for the folder.
func (b *bench) open(config string) (*Store, error) {
	b.ok(os.WriteFile(b.path("config"), []byte(strings.ReplaceAll(config, "@", b.dir)), 0o600))
	return Open(b.path("config"))
}

func TestOpen(t *testing.T) {
	tests := []struct {
		name      string
		offsets   []int
		config    string
		redundant bool
	}{
		{"one copy", []int{0x1000}, "@/disk 0x1000 0x1000\n", false},
		{"two copies", []int{0, 0x1000}, "@/disk 0x0 0x1000\n@/disk 0x1000 0x1000\n", true},
		{"from the end", []int{0x6000, 0x7000}, "@/disk -0x2000 0x1000\n@/disk -0x1000 0x1000\n", true},
		{"by a name that points to it", []int{0x1000}, "@/by-name 0x1000 0x1000\n", false},
	}
	for _, tt := range tests {
		b := newBench(t, tt.offsets...)
		b.ok(os.Symlink("disk", b.path("by-name")))
		s, err := b.open(tt.config)
		if err != nil {
			t.Errorf("%s: Open = %v", tt.name, err)
			continue
		}
		b.ok(s.Write(variables.Set{"b": "2"}))
		got, err := s.Read()
		if err != nil || s.Redundant != tt.redundant || got["a"] != "1" || got["b"] != "2" {
			t.Errorf("%s: redundant %v, Read = %v, %v", tt.name, s.Redundant, got, err)
		}
		fi, err := os.Lstat(b.path("by-name"))
		if b.ok(err); fi.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("%s: the name was replaced", tt.name)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct{ name, config, want string }{
		{"a place that is not there", "@/nothing 0 0x1000\n", "no such file"},
		{"beyond the end", "@/disk 0x7001 0x1000\n", "has 32768 bytes"},
		{"before the beginning", "@/disk -0x8001 0x1000\n", "has 32768 bytes"},
		{"one upon the other", "@/disk 0 0x1000\n@/disk 0 0x1000\n", "share a block"},
		{"one upon the other by another name", "@/disk 0 0x1000\n@/by-name 0xfff 0x1000\n", "share a block"},
		{"in one block", "@/disk 0 0x800\n@/disk 0x800 0x800\n", "share a block of 4096"},
		{"one upon the other, from the end", "@/disk 0x7000 0x1000\n@/disk -0x1000 0x1000\n", "share a block"},
		{"a folder", "@ 0 0x1000\n", "directory"},
		{"YAML", "uboot:\n", "YAML"},
	}
	for _, tt := range tests {
		b := newBench(t, 0)
		b.ok(os.Symlink("disk", b.path("by-name")))
		s, err := b.open(tt.config)
		if err == nil {
			_, err = s.Read()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Open = %v, want an error with %q", tt.name, err, tt.want)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "config")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open without configuration = %v, want %v", err, fs.ErrNotExist)
	}
}

// TestFlash fails when what only fw_setenv knows how to write is written here.
func TestFlash(t *testing.T) {
	for _, device := range []string{"/dev/null", "/dev/ubi0:env", "/dev/ubi0_1"} {
		b := newBench(t)
		s, err := b.open(device + " 0 0x1000 0x1000\n" + device + " 0x1000 0x1000 0x1000\n")
		if err != nil {
			t.Errorf("Open of %s = %v", device, err)
			continue
		}
		if _, tools := s.Store.(Tools); !tools || !s.Redundant {
			t.Errorf("Open of %s = %T, redundant %v, want Tools, true", device, s.Store, s.Redundant)
		}
	}
}

// TestFlashIsBlank fails when fw_setenv may begin with a default of its own.
func TestFlashIsBlank(t *testing.T) {
	b := newBench(t)
	b.ok(os.WriteFile(b.path("config"), []byte(b.path("disk")+" 0 0x1000\n"), 0o600))
	tools := Tools{b.path("config")}
	if got, err := tools.Read(); !errors.Is(err, ErrNone) {
		t.Errorf("Read = %v, %v, want %v", got, err, ErrNone)
	}
	if err := tools.Write(variables.Set{"a": "1"}); !errors.Is(err, ErrNone) {
		t.Errorf("Write = %v, want %v", err, ErrNone)
	}
	tools.Config = b.path("nothing")
	if _, err := tools.Read(); err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "run fw_printenv: exit status") {
		t.Errorf("Read without configuration = %v, want what fw_printenv says", err)
	}
	t.Setenv("PATH", b.dir)
	if _, err := tools.Read(); err == nil || !strings.Contains(err.Error(), "MTD or UBI needs it") {
		t.Errorf("Read without fw_printenv = %v, want an error that says what needs it", err)
	}
}

// TestReadingWritesNothing fails when a look wants more than the right to look.
func TestReadingWritesNothing(t *testing.T) {
	b := newBench(t, 0)
	s, err := b.open("@/disk 0 0x1000\n")
	b.ok(err)
	f := s.Store.(locked).Store.(files)
	b.ok(f.with(os.O_RDONLY, func(d *Disk) error {
		if _, err := d.Read(); err != nil {
			return err
		}
		if err := d.Write(variables.Set{"a": "2"}); !errors.Is(err, syscall.EBADF) {
			t.Errorf("Write while reading = %v, want %v", err, syscall.EBADF)
		}
		return nil
	}))
}

// TestLock fails when a Store goes on while fw_setenv writes.
func TestLock(t *testing.T) {
	b := newBench(t, 0)
	s, err := b.open("@/disk 0 0x1000\n")
	b.ok(err)
	l := locked{s.Store.(locked).Store, b.path("lock")}
	theirs, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE, 0o644)
	b.ok(err)
	b.ok(syscall.Flock(int(theirs.Fd()), syscall.LOCK_SH))
	done := make(chan error)
	go func() { done <- l.Write(variables.Set{"a": "2"}) }()
	select {
	case err := <-done:
		t.Fatalf("Write under another's lock = %v, want it to wait", err)
	case <-time.After(10 * lockPoll):
	}
	theirs.Close()
	b.ok(<-done)
	nowhere := locked{l.Store, b.path("no/such/folder")}
	if got, err := nowhere.Read(); err != nil || got["a"] != "2" {
		t.Errorf("Read where no lock can be = %v, %v, want a=2", got, err)
	}
}

// TestBootPartition fails when an eMMC's boot partition stays locked for the
// write, or open after it.
func TestBootPartition(t *testing.T) {
	for _, was := range []string{"1\n", "0\n"} {
		b := newBench(t, 0)
		b.ok(os.MkdirAll(b.path("sys/mmcblk2boot1"), 0o700))
		b.ok(os.Rename(b.path("disk"), b.path("mmcblk2boot1")))
		b.ok(os.Symlink("mmcblk2boot1", b.path("env")))
		force := b.path("sys/mmcblk2boot1/force_ro")
		b.ok(os.WriteFile(force, []byte(was), 0o600))
		both := []Place{{b.path("env"), 0, 0x1000}, {b.path("env"), 0x1000, 0x1000}}
		broken := errors.New("broken")
		for _, want := range []error{nil, broken} {
			during := ""
			err := unlocked(both, b.path("sys"), func() error {
				text, err := os.ReadFile(force)
				during = strings.TrimSpace(string(text))
				return errors.Join(err, want)
			})
			after, readErr := os.ReadFile(force)
			if !errors.Is(err, want) || readErr != nil || during != "0" || string(after) != was {
				t.Errorf("force_ro %q: %q during and %q after, %v", was, during, after, err)
			}
		}
		b.ok(os.Remove(force))
		if err := unlocked(both, b.path("sys"), func() error { return nil }); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without force_ro: %v, want %v", err, fs.ErrNotExist)
		}
	}
	if err := unlocked([]Place{{"/dev/null", 0, 0}}, "/nowhere", func() error { return fmt.Errorf("ran") }); err == nil {
		t.Error("other places were not written")
	}
}
