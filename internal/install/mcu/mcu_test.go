package mcu_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moult-ota/moult/internal/child/childtest"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/install/mcu"
)

// TestVanishes: what answers no more is failed, and the detail says so; only
// what is known is said.
func TestVanishes(t *testing.T) {
	for _, s := range stories[:9] {
		clean := s.open(0, 0, 0)
		clean.live()
		for at := 1; at <= clean.child.Ops; at++ {
			w := s.open(0, 0, 0)
			w.child.Vanish = at
			w.live()
			image, _ := w.child.Running()
			switch state := w.server.State; {
			case len(w.broken) > 0:
				t.Errorf("%s, gone after %d: %v", s.name, at, w.broken)
			case state == deployment.Failed && !strings.Contains(w.server.Detail, "does not answer"):
				t.Errorf("%s, gone after %d: failed: %s", s.name, at, w.server.Detail)
			case state == deployment.RolledBack && image.Hash != old.Hash, !state.Final():
				t.Errorf("%s, gone after %d: %s: %s, and it runs %v", s.name, at, state, w.server.Detail, image.Version)
			case at < 5 && state != deployment.Failed:
				t.Errorf("%s, gone after %d: %s", s.name, at, state)
			}
		}
	}
}

// TestResumes: what the child has is not sent again, whoever was cut.
func TestResumes(t *testing.T) {
	clean := stories[0].open(0, 0, 0)
	clean.live()
	total := clean.child.Sent
	for at := 1; at <= clean.power.Total(); at++ {
		w := stories[0].open(at, 0, 1)
		w.live()
		if w.child.Sent != total {
			t.Errorf("gateway cut at %d: %d bytes were sent, the image has %d", at, w.child.Sent, total)
		}
	}
	for at := 1; at <= clean.child.Ops; at++ {
		w := stories[0].open(0, at, 1)
		w.live()
		if w.child.Sent != total {
			t.Errorf("child cut at %d: %d bytes were sent, the image has %d", at, w.child.Sent, total)
		}
	}
}

// TestStartedByPowerCut: a power cut before the reset that was to start the
// new image starts it as well; it is not reset away.
func TestStartedByPowerCut(t *testing.T) {
	const toReset = 13 // operations: look, erase, seven pieces, look twice, try, look
	for seed := range uint64(8) {
		for at := 1; at <= toReset; at++ {
			w := stories[0].open(0, at, seed)
			w.live()
			if w.server.State != deployment.Done {
				t.Errorf("child cut at %d, seed %d: %s (%s)", at, seed, w.server.State, w.server.Detail)
			}
		}
	}
}

// TestSpoiltShelf: what is read back differs, so nothing is sent.
func TestSpoiltShelf(t *testing.T) {
	w := stories[0].open(0, 0, 0)
	w.shelf.bad = true
	w.live()
	if w.server.State != deployment.Failed || !strings.Contains(w.server.Detail, "read back") || w.child.Sent > 0 {
		t.Errorf("ended %s (%s), %d bytes sent", w.server.State, w.server.Detail, w.child.Sent)
	}
}

// TestLeftOnTrial: a child that somebody left on trial goes back first.
func TestLeftOnTrial(t *testing.T) {
	w := stories[0].open(0, 0, 0)
	stray := childtest.NewImage("1.5.0", size, nil)
	ctx := context.Background()
	for _, err := range []error{w.child.Send(ctx, stray, nil), w.child.Try(ctx, stray), w.child.Reset(ctx)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.live()
	if w.server.State != deployment.Done {
		t.Errorf("ended %s (%s)", w.server.State, w.server.Detail)
	}
}

// TestSameVersionMute: of two images with one version, a child that tells no
// hash cannot say which it runs.
func TestSameVersionMute(t *testing.T) {
	w := stories[6].open(0, 0, 0)
	same := childtest.NewImage("1.0.0", size+1, nil)
	w.server.Artifact, w.server.Name = pack(same, nil), "fw-1.0.0"
	w.live()
	if w.server.State != deployment.Refused || !strings.Contains(w.server.Detail, "another version") || w.child.Sent > 0 {
		t.Errorf("ended %s (%s), %d bytes sent", w.server.State, w.server.Detail, w.child.Sent)
	}
}

// TestAlreadyThere: the image that runs is not sent, and it is done.
func TestAlreadyThere(t *testing.T) {
	w := stories[0].open(0, 0, 0)
	w.child = childtest.NewFake(new2, 1)
	w.live()
	if w.server.State != deployment.Done || w.child.Sent > 0 || w.child.Boots > 0 {
		t.Errorf("ended %s (%s), %d bytes sent, %d resets", w.server.State, w.server.Detail, w.child.Sent, w.child.Boots)
	}
}

// TestBesideOneAnother: one gateway, many children, none in another's way.
func TestBesideOneAnother(t *testing.T) {
	var all sync.WaitGroup
	for _, s := range stories[:9] {
		all.Go(func() {
			w := s.open(0, 0, 0)
			w.live()
			if w.server.State != s.end {
				t.Errorf("%s: ended %s (%s)", s.name, w.server.State, w.server.Detail)
			}
			for _, broken := range w.check() {
				t.Errorf("%s: %s", s.name, broken)
			}
		})
	}
	all.Wait()
}

// TestFile: the shelf of a real gateway.
func TestFile(t *testing.T) {
	f := mcu.File(filepath.Join(t.TempDir(), "image"))
	if image, err := f.Load(); image != nil || err != nil {
		t.Errorf("an empty one has %q, %v", image, err)
	}
	if err := f.Save([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if image, err := f.Load(); string(image) != "abc" || err != nil {
		t.Errorf("Load = %q, %v, want abc", image, err)
	}
	for range 2 {
		if err := f.Clear(); err != nil {
			t.Error(err)
		}
	}
	if image, err := f.Load(); image != nil || err != nil {
		t.Errorf("a cleared one has %q, %v", image, err)
	}
}

// TestStrangeRecord: a record that names no image does nothing to the child.
func TestStrangeRecord(t *testing.T) {
	w := stories[0].open(0, 0, 0)
	i := w.installer(nil)
	for _, text := range []string{"", "ab", "ab 1.2.3", strings.Repeat("g", 64) + " 1.0.0"} {
		written := install.Written{Image: text}
		_, err := i.Activate(t.Context(), written)
		for _, err := range []error{err, i.Verify(t.Context(), written), i.Confirm(t.Context(), written), i.RollBack(t.Context(), written, 0)} {
			if err == nil {
				t.Errorf("%q: no error", text)
			}
		}
	}
	if w.child.Boots > 0 {
		t.Error("the child was reset")
	}
}
