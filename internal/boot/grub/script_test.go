package grub_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/grub"
	"github.com/moult-ota/moult/internal/slot"
)

var (
	imageA = boot.Image{Digest: boot.Digest{1, 2, 3, 4, 5, 6, 7, 8}, Security: 4}
	imageB = boot.Image{Digest: boot.Digest{8, 7, 6, 5, 4, 3, 2, 1}, Security: 5}
	first  = boot.First(slot.A, imageA, 4)
)

func trial(t *testing.T, tries uint8) boot.Vars {
	t.Helper()
	v, err := boot.Request(first, slot.B, imageB, tries)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestScriptCheck(t *testing.T) {
	if out, err := exec.Command("grub-script-check", "../../../contrib/grub/moult.cfg").CombinedOutput(); err != nil {
		t.Errorf("grub-script-check: %v: %s", err, out)
	}
}

// TestScript fails when GRUB and the agent do not mean the same: GRUB's own
// code runs the script, on file systems of three kinds.
func TestScript(t *testing.T) {
	for _, kind := range []string{"ext4", "ext2", "vfat"} {
		t.Run(kind, func(t *testing.T) {
			b := newBoard(t, kind)
			b.starts("nothing saved", slot.A, boot.Vars{})
			b.save(first)
			b.starts("first", slot.A, first)
			v := trial(t, 2)
			b.save(v)
			for range 2 {
				v.Tries--
				b.starts("trial", slot.B, v)
			}
			failed, err := boot.RollBack(v, slot.None, boot.ReasonTries)
			if err != nil {
				t.Fatal(err)
			}
			b.starts("no tries left", slot.A, failed)
			b.starts("given up", slot.A, failed)
			b.save(trial(t, 3))
			b.starts("again", slot.B, trial(t, 2))
			confirmed, err := boot.Confirm(b.load(), slot.B, 5)
			if err != nil {
				t.Fatal(err)
			}
			b.save(confirmed)
			b.starts("confirmed", slot.B, confirmed)
		})
	}
}

// starts boots once and looks at what runs and what is then loaded.
func (b *board) starts(name string, s slot.Slot, want boot.Vars) {
	b.t.Helper()
	if got := b.boot(); got != s {
		b.t.Fatalf("%s: GRUB starts %v, want %v", name, got, s)
	}
	if got := b.load(); got != want {
		b.t.Fatalf("%s: Load = %+v, want %+v", name, got, want)
	}
}

// TestScriptAfterCut fails when a cut during a write of the agent, or of
// GRUB, makes GRUB start something that the agent then does not know of.
func TestScriptAfterCut(t *testing.T) {
	b := newBoard(t, "ext4")
	b.save(first)
	before := read(t, b.path)
	rec := &recorder{b: b}
	rec.save(trial(t, 3))
	b.cutAtEach("agent", before, rec.writes, first, trial(t, 3))

	before = rec.image
	put(t, "", map[string]string{b.path: string(before)})
	b.starts("trial", slot.B, trial(t, 2))
	after := read(t, b.path)
	at := func(image []byte, file int) write {
		off := b.files[file]
		return write{image[off : off+grub.Size], off}
	}
	held := bytes.Replace(at(after, 0).p, []byte("editing=0"), []byte("editing=1"), 1)
	b.cutAtEach("GRUB", before, []write{
		{held, b.files[2]}, at(after, 3), at(after, 2), {held, b.files[0]}, at(after, 1), at(after, 0),
	}, trial(t, 3), trial(t, 2))
}

// cutAtEach cuts at each of the six writes that make before from after.
func (b *board) cutAtEach(whose string, image []byte, writes []write, before, after boot.Vars) {
	b.t.Helper()
	if len(writes) != 6 {
		b.t.Fatalf("%d writes, want 6", len(writes))
	}
	for n := range writes {
		for _, torn := range []bool{false, true} {
			put(b.t, "", map[string]string{b.path: string(cutImage(image, writes[:n+1], torn))})
			name := fmt.Sprintf("write %d of %s, torn %v", n+1, whose, torn)
			saved := b.load()
			if saved != before && saved != after {
				b.t.Fatalf("%s: Load = %+v, want %+v or %+v", name, saved, before, after)
			}
			ran := b.boot()
			if ran == slot.A && torn && b.load() == saved {
				b.settle() // what cannot be counted does not start; until then
			} else if (ran == slot.B) != (saved.Trial == slot.B) {
				b.t.Fatalf("%s: GRUB starts %v, on trial is %v", name, ran, saved.Trial)
			}
			want := saved
			if want.Trial == slot.B && b.load() == saved {
				want.Tries--
				b.starts(name, slot.B, want)
			}
			if want.Trial == slot.None {
				b.starts(name, slot.A, want)
			}
		}
	}
}

func cutImage(image []byte, writes []write, torn bool) []byte {
	image = append([]byte{}, image...)
	for i, w := range writes {
		p := w.p
		if torn && i == len(writes)-1 {
			p = append(append([]byte{}, p[:40]...), make([]byte, grub.Size-40)...)
		}
		copy(image[w.off:], p)
	}
	return image
}

type write struct {
	p   []byte
	off int64
}

// A recorder keeps the writes of a save.
type recorder struct {
	b      *board
	writes []write
	image  []byte // with them
}

func (r *recorder) save(v boot.Vars) {
	r.b.t.Helper()
	r.image = read(r.b.t, r.b.path)
	at := func(n int) recorded { return recorded{r, r.image, r.b.files[n]} }
	d := grub.On(grub.Copy{Lock: at(0), Env: at(1)}, grub.Copy{Lock: at(2), Env: at(3)})
	if err := r.b.open(d).Save(v); err != nil {
		r.b.t.Fatal(err)
	}
}

type recorded struct {
	r     *recorder
	image []byte
	off   int64
}

func (f recorded) ReadAt(p []byte, off int64) (int, error) {
	return copy(p, f.image[f.off+off:f.off+grub.Size]), nil
}
func (f recorded) WriteAt(p []byte, off int64) (int, error) {
	f.r.writes = append(f.r.writes, write{append([]byte{}, p...), f.off + off})
	return copy(f.image[f.off+off:], p), nil
}
func (f recorded) Sync() error { return nil }
