package rootfs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/install/rootfs"
	"github.com/moult-ota/moult/internal/slot"
)

// A board is two slots in plain files and a register in memory.
type board struct {
	*rootfs.Installer
	vars  boot.Vars
	saves int
	slots [2]string
}

func (b *board) Load() (boot.Vars, error) { return b.vars, nil }
func (b *board) Save(v boot.Vars) error   { b.vars = v; b.saves++; return nil }

const room = 64 << 10

var first = boot.Image{Digest: boot.Digest{1}, Security: 1}

func newBoard(t *testing.T) *board {
	t.Helper()
	dir := t.TempDir()
	b := &board{slots: [2]string{dir + "/a", dir + "/b"}, vars: boot.First(slot.A, first, 1)}
	for _, path := range b.slots {
		f, err := slot.CreateFile(path, room+slot.DescriptorSize)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	b.Installer = &rootfs.Installer{Env: b, Running: slot.A, DeviceType: "bench",
		Open: func(s slot.Slot) (slot.File, error) { return slot.OpenFile(b.slots[s-1]) }}
	return b
}

func (b *board) check(s slot.Slot) error {
	f, err := slot.OpenFile(b.slots[s-1])
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = slot.Check(f)
	return err
}

// broken is a payload whose line breaks so many bytes before the image ends.
func broken(t *testing.T, content string, cut int) install.Payload {
	t.Helper()
	stored := pack(t, content)
	at := bytes.LastIndex(stored, []byte("tail")) + 4 - cut
	return open(t, io.MultiReader(bytes.NewReader(stored[:at]), iotest.ErrReader(errLine)), nil)
}

// payload packs one image. before, when not nil, is called when all of it was
// written.
func payload(t *testing.T, content string, before func()) install.Payload {
	t.Helper()
	return open(t, bytes.NewReader(pack(t, content)), before)
}

func pack(t *testing.T, content string) []byte {
	t.Helper()
	var out bytes.Buffer
	err := artifact.Write(&out, artifact.Spec{
		Name: "fw-2", DeviceTypes: []string{"bench"}, PayloadType: "rootfs-image", Compression: artifact.None,
		Files: []artifact.Source{{Name: "image", Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(content)), nil
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(t *testing.T, in io.Reader, before func()) install.Payload {
	t.Helper()
	r, err := artifact.NewReader(in, artifact.ReaderOptions{AllowUnsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	return install.Payload{Header: r.Header(), Security: 2, Stop: func() {}, Next: func() (*artifact.File, error) {
		if calls++; calls == 2 && before != nil {
			before() // all was written, nothing is finished
		}
		return r.Next()
	}}
}

// TestExcerpt fails when the slot does not keep what a loader needs to check
// the signature again.
func TestExcerpt(t *testing.T) {
	for _, n := range []int{0, slot.MaxExcerpt, slot.MaxExcerpt + 1} {
		b := newBoard(t)
		p := payload(t, "image", nil)
		p.Signed = bytes.Repeat([]byte("s"), n)
		if _, err := b.Write(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		f, err := b.Open(slot.B)
		if err != nil {
			t.Fatal(err)
		}
		d, err := slot.ReadDescriptor(f)
		f.Close()
		if want := n % (slot.MaxExcerpt + 1); len(d.Excerpt) != want || err != nil {
			t.Errorf("with %d bytes signed the slot keeps %d, %v, want %d", n, len(d.Excerpt), err, want)
		}
	}
}

func TestInstall(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		b := newBoard(t)
		b.Ahead = ahead
		testInstall(t, b)
	}
}

// TestAhead writes an image of many pieces, and one whose artifact breaks off.
func TestAhead(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 5<<16) + "tail"
	for _, cut := range []int{0, 1, 2 << 20} {
		b := newBoard(t)
		b.Ahead = true
		f, err := slot.CreateFile(b.slots[1], 6<<20)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		p := payload(t, big, nil)
		if cut > 0 {
			p = broken(t, big, cut)
		}
		_, err = b.Write(t.Context(), p)
		if cut == 0 && (err != nil || b.check(slot.B) != nil) {
			t.Errorf("Write() = %v, the slot %v", err, b.check(slot.B))
		}
		if cut > 0 && (!errors.Is(err, errLine) || b.check(slot.B) == nil) {
			t.Errorf("cut %d bytes before the end: Write() = %v, the slot %v", cut, err, b.check(slot.B))
		}
	}
}

// TestChangedOnTheWay: the artifact is refused by its sum, and the slot is not
// blamed.
func TestChangedOnTheWay(t *testing.T) {
	whole := pack(t, "image two")
	whole[bytes.Index(whole, []byte("image two"))] ^= 1
	for _, ahead := range []bool{false, true} {
		b := newBoard(t)
		b.Ahead = ahead
		_, err := b.Write(t.Context(), open(t, bytes.NewReader(whole), nil))
		if !errors.Is(err, artifact.ErrChecksum) {
			t.Errorf("ahead %v: Write() = %v, want %v", ahead, err, artifact.ErrChecksum)
		}
		if err := b.check(slot.B); !errors.Is(err, slot.ErrEmpty) {
			t.Errorf("ahead %v: the slot is %v", ahead, err)
		}
	}
}

// TestAheadStops: a slot that fails ends the reader, too.
func TestAheadStops(t *testing.T) {
	b := newBoard(t)
	b.Ahead = true
	open := b.Open
	b.Open = func(s slot.Slot) (slot.File, error) {
		f, err := open(s)
		return dead{f}, err
	}
	p := payload(t, strings.Repeat("x", room), nil)
	stopped := false
	p.Stop = func() { stopped = true }
	if _, err := b.Write(t.Context(), p); !errors.Is(err, errDead) || !stopped {
		t.Errorf("Write() = %v, stopped %v", err, stopped)
	}
}

var (
	errLine = errors.New("line is bad")
	errDead = errors.New("disk is dead")
)

type dead struct{ slot.File }

func (dead) WriteAt([]byte, int64) (int, error) { return 0, errDead }

func testInstall(t *testing.T, b *board) {
	ctx := t.Context()
	w, err := b.Write(ctx, payload(t, "image two", nil))
	if err != nil {
		t.Fatal(err)
	}
	if b.saves != 0 {
		t.Errorf("%d saves of the register before the flag was wanted", b.saves)
	}
	for range 2 { // asking again changes nothing
		if boot, err := b.Activate(ctx, w); !boot || err != nil {
			t.Fatalf("Activate() = %v, %v", boot, err)
		}
	}
	sum := sha256.Sum256([]byte("image two"))
	if got := b.vars.Slot(slot.B).Image; b.vars.Trial != slot.B || got.Digest != boot.Digest(sum[:8]) || got.Security != 2 {
		t.Errorf("register holds %+v", b.vars)
	}
	if err := b.Confirm(ctx, w); err == nil {
		t.Error("confirmed an image that does not run")
	}
	b.Running = slot.B
	for range 2 {
		if err := errors.Join(b.Verify(ctx, w), b.Confirm(ctx, w)); err != nil {
			t.Fatal(err)
		}
	}
	if b.vars.Current != slot.B || b.vars.Floor != 2 {
		t.Errorf("after Confirm the register holds %+v", b.vars)
	}
	if err := b.RollBack(ctx, w, install.Operator); !errors.Is(err, install.ErrKept) {
		t.Errorf("RollBack after Confirm = %v, want %v", err, install.ErrKept)
	}
}

// TestReleasedWhileWritten: an older confirmed image is no way back any more
// from the moment on that its slot is written over.
func TestReleasedWhileWritten(t *testing.T) {
	b := newBoard(t)
	b.vars.Slots[1] = boot.SlotVars{State: boot.Confirmed, Image: first}
	_, err := b.Write(t.Context(), payload(t, "image two", func() {
		if got := b.vars.Slot(slot.B); got != (boot.SlotVars{}) {
			t.Errorf("while it is written, slot B counts as %v", got.State)
		}
		if err := b.check(slot.B); err == nil {
			t.Error("while it is written, slot B passes its check")
		}
	}))
	if err != nil {
		t.Error(err)
	}
}

func TestRollBack(t *testing.T) {
	b := newBoard(t)
	ctx := t.Context()
	w, err := b.Write(ctx, payload(t, "image two", nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Activate(ctx, w); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.RollBack(ctx, w, install.NoContact); err != nil {
			t.Fatal(err)
		}
	}
	if x := b.vars.Slot(slot.B); b.vars.Trial != slot.None || x.State != boot.Failed || x.Reason != boot.ReasonNoContact {
		t.Errorf("register holds %+v", b.vars)
	}
}

// TestRefusals change neither register nor slot.
func TestRefusals(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name    string
		ctx     context.Context
		content string
		change  func(*board)
		want    string
	}{
		{"too large", t.Context(), strings.Repeat("x", room+1), func(*board) {}, "larger than the slot"},
		{"running slot not known", t.Context(), "image", func(b *board) { b.Running = slot.None }, "which slot"},
		{"register does not know what runs", t.Context(), "image", func(b *board) { b.vars = boot.Vars{} }, "names slot none"},
		{"running on trial", t.Context(), "image", func(b *board) { b.Running = slot.B }, "names slot A"},
		{"stopped", canceled, "image", func(*board) {}, "canceled"},
	}
	for _, tt := range tests {
		b := newBoard(t)
		tt.change(b)
		_, err := b.Write(tt.ctx, payload(t, tt.content, nil))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Write() = %v, want %q in it", tt.name, err, tt.want)
		}
		if b.saves != 0 {
			t.Errorf("%s: %d saves of the register", tt.name, b.saves)
		}
	}
}

// TestOnlyWhatWasWritten: the flag is set for the image of this update.
func TestOnlyWhatWasWritten(t *testing.T) {
	b := newBoard(t)
	w, err := b.Write(t.Context(), payload(t, "image two", nil))
	if err != nil {
		t.Fatal(err)
	}
	w.Image = strings.Repeat("00", 32)
	if _, err := b.Activate(t.Context(), w); !errors.Is(err, boot.ErrMismatch) {
		t.Errorf("Activate() = %v, want %v", err, boot.ErrMismatch)
	}
}

// TestNotTheWholeArtifact: what follows the image counts too. Until the end of
// the artifact was seen, the slot stays without a descriptor.
func TestNotTheWholeArtifact(t *testing.T) {
	cut := errors.New("cut off")
	for name, last := range map[string]error{"cut off after the image": cut, "a second file": nil} {
		b := newBoard(t)
		p := payload(t, "image two", nil)
		next, calls := p.Next, 0
		p.Next = func() (*artifact.File, error) {
			if calls++; calls == 1 {
				return next()
			}
			return &artifact.File{Name: "more"}, last
		}
		if _, err := b.Write(t.Context(), p); err == nil || last != nil && !errors.Is(err, cut) {
			t.Errorf("%s: Write() = %v", name, err)
		}
		if err := b.check(slot.B); !errors.Is(err, slot.ErrEmpty) {
			t.Errorf("%s: the slot is %v", name, err)
		}
	}
}
