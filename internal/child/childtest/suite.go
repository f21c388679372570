package childtest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/mcuboot"
)

// A Bench is a child under test.
type Bench struct {
	Child child.Child
	Old   child.Image   // what it runs, for good
	New   child.Image   // another that its boot loader takes
	Mute  bool          // it tells no hashes, and images confirm themselves
	Boot  time.Duration // that it may be away after a reset; 0 means 10 seconds
}

// Run wants what package child promises. open makes a new child each time.
func Run(t *testing.T, open func(t *testing.T) Bench) {
	for _, test := range []struct {
		name string
		do   func(*testing.T, *bench)
	}{
		{"says what it runs", runs},
		{"goes back without a confirmation", goesBack},
		{"stays with one", stays},
		{"may be asked everything twice", twice},
		{"sends what was sent before at once", resumes},
		{"keeps what runs while another is sent", keeps},
		{"ends with its context", ends},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &bench{open(t), t}
			defer b.Child.Close()
			test.do(t, b)
		})
	}
}

type bench struct {
	Bench
	t *testing.T
}

func (b *bench) must(what string, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// state waits for the child to be back.
func (b *bench) state() child.State {
	b.t.Helper()
	limit := b.Boot
	if limit == 0 {
		limit = 10 * time.Second
	}
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		s, err := b.Child.State(b.t.Context())
		if err == nil {
			return s
		}
		if !errors.Is(err, child.ErrAway) || time.Now().After(deadline) {
			b.t.Fatalf("State = %v", err)
		}
	}
}

// want fails when another image runs.
func (b *bench) want(image child.Image) child.State {
	b.t.Helper()
	s := b.state()
	if s.Running.Version.Compare(image.Version) != 0 || s.Running.Hash != nil && !bytes.Equal(s.Running.Hash, image.Hash[:]) {
		b.t.Fatalf("it runs %v %x, want %v %x", s.Running.Version, s.Running.Hash, image.Version, image.Hash)
	}
	if !b.Mute && s.Running.Hash == nil {
		b.t.Fatal("it tells no hash")
	}
	return s
}

// begin puts the new image on trial.
func (b *bench) begin() {
	b.t.Helper()
	b.want(b.Old)
	b.must("send", b.Child.Send(b.t.Context(), b.New, nil))
	b.must("try", b.Child.Try(b.t.Context(), b.New))
	b.must("reset", b.Child.Reset(b.t.Context()))
	if s := b.want(b.New); !b.Mute && s.Running.Confirmed {
		b.t.Fatal("the new image is confirmed before it was asked for")
	}
}

func runs(t *testing.T, b *bench) {
	if s := b.want(b.Old); !b.Mute && !s.Running.Confirmed {
		t.Error("what runs for good is not confirmed")
	}
}

func goesBack(t *testing.T, b *bench) {
	if b.Mute {
		return // its images see to that; what they do is not the driver's
	}
	b.begin()
	b.must("reset", b.Child.Reset(t.Context()))
	b.want(b.Old)
}

func stays(t *testing.T, b *bench) {
	b.begin()
	if err := b.Child.Confirm(t.Context()); b.Mute != errors.Is(err, child.ErrSelf) || !b.Mute && err != nil {
		t.Fatalf("Confirm = %v", err)
	}
	if s := b.want(b.New); !b.Mute && !s.Running.Confirmed {
		t.Error("confirmed, and it does not say so")
	}
	b.must("reset", b.Child.Reset(t.Context()))
	b.want(b.New)
}

func twice(t *testing.T, b *bench) {
	b.must("send", b.Child.Send(t.Context(), b.New, nil))
	b.must("send again", b.Child.Send(t.Context(), b.New, nil))
	b.must("try", b.Child.Try(t.Context(), b.New))
	b.must("try again", b.Child.Try(t.Context(), b.New))
	b.must("reset", b.Child.Reset(t.Context()))
	b.want(b.New)
	for range 2 {
		if err := b.Child.Confirm(t.Context()); err != nil && !errors.Is(err, child.ErrSelf) {
			t.Fatalf("Confirm = %v", err)
		}
	}
	b.must("close", b.Child.Close())
	b.must("close again", b.Child.Close())
}

func resumes(t *testing.T, b *bench) {
	var last int64
	told := func(n int64) {
		if n < last || n > int64(len(b.New.Bytes)) {
			t.Errorf("told %d of %d bytes after %d", n, len(b.New.Bytes), last)
		}
		last = n
	}
	b.must("send", b.Child.Send(t.Context(), b.New, told))
	if last != int64(len(b.New.Bytes)) {
		t.Errorf("told %d bytes at the end, want %d", last, len(b.New.Bytes))
	}
	if s := b.want(b.Old); !b.Mute && !bytes.Equal(s.Other.Hash, b.New.Hash[:]) {
		t.Errorf("the other slot has %x, want %x", s.Other.Hash, b.New.Hash)
	}
}

func keeps(t *testing.T, b *bench) {
	b.must("send", b.Child.Send(t.Context(), b.New, nil))
	b.want(b.Old)
	if !b.Mute {
		b.must("reset", b.Child.Reset(t.Context()))
		b.want(b.Old)
	}
}

func ends(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Child.Send(ctx, b.New, nil)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("Send goes on after its context")
	}
}

// MustImage describes the bytes of an MCUboot image.
func MustImage(text []byte) child.Image {
	im, _, err := mcuboot.Parse(text)
	if err != nil {
		panic("childtest: " + err.Error())
	}
	return child.Image{Bytes: text, Version: im.Header.Version, Hash: [32]byte(im.Hash())}
}
