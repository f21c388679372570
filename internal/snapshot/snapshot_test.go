package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A fake freezer counts; err is what Freeze answers.
type fake struct {
	err          error
	frozen, thaw int
}

func (f *fake) Freeze(string) (func() error, error) {
	if f.err != nil {
		return nil, f.err
	}
	f.frozen++
	return func() error { f.thaw++; return nil }, nil
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestThawOnEveryWayOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, bytes.Repeat([]byte("moult"), chunk), 0o600); err != nil {
		t.Fatal(err)
	}
	full, boom := errors.New("full"), errors.New("boom")
	stop := make(chan struct{})
	defer close(stop)
	block := writer(func([]byte) (int, error) { <-stop; return 0, full })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx  context.Context
		w    io.Writer
		want error // nil for any when fails
		ok   bool
	}{
		"end":     {t.Context(), io.Discard, nil, true},
		"error":   {t.Context(), writer(func([]byte) (int, error) { return 0, full }), full, false},
		"panic":   {t.Context(), writer(func([]byte) (int, error) { panic(boom) }), nil, false},
		"signal":  {gone, block, context.Canceled, false},
		"stalled": {t.Context(), block, ErrStalled, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{}
			err := Stream(tt.ctx, tt.w, Source{Path: path, Mount: "/m"}, Options{Freezer: f, Stall: 200 * time.Millisecond})
			if (err == nil) != tt.ok || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("Stream() = %v, want %v", err, tt.want)
			}
			if f.frozen != 1 || f.thaw != 1 {
				t.Errorf("frozen %d times, thawed %d times; want once each", f.frozen, f.thaw)
			}
		})
	}
}

func TestCannotFreeze(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, []byte("image"), 0o600); err != nil {
		t.Fatal(err)
	}
	no := errors.New("not permitted")
	var out bytes.Buffer
	var warned error
	o := Options{Freezer: &fake{err: no}, Warn: func(err error) { warned = err }}
	if err := Stream(t.Context(), &out, Source{Path: path, Mount: "/m"}, o); err != nil || out.String() != "image" || !errors.Is(warned, no) {
		t.Errorf("Stream() = %v, wrote %q, warned %v; want the image and a warning", err, &out, warned)
	}
	o.RequireFreeze = true
	if err := Stream(t.Context(), io.Discard, Source{Path: path, Mount: "/m"}, o); !errors.Is(err, no) {
		t.Errorf("Stream() with RequireFreeze = %v, want %v", err, no)
	}
}

func TestFindRefusesWhatIsOnNoDevice(t *testing.T) {
	if _, err := Find("/proc"); !errors.Is(err, ErrNoDevice) {
		t.Errorf("Find(/proc) = %v, want %v", err, ErrNoDevice)
	}
	if _, err := Find("/dev/null"); err == nil {
		t.Error("Find(/dev/null) = nil, want an error")
	}
}

// TestFreezeForReal freezes a mounted ext4 while a writer writes. It needs
// root's rights and loop devices.
func TestFreezeForReal(t *testing.T) {
	mount := mountExt4(t)
	copied := filepath.Join(t.TempDir(), "copied")
	s, err := Find(mount)
	if err != nil || s.Mount != mount {
		t.Fatalf("Find(%s) = %+v, %v; want it mounted there", mount, s, err)
	}
	if !s.Holds(filepath.Join(mount, "not", "there")) || s.Holds("/proc") {
		t.Error("Holds() is wrong about what lies on the device")
	}
	if err := os.WriteFile(filepath.Join(mount, "before"), bytes.Repeat([]byte("x"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	stop, written := make(chan struct{}), make(chan struct{}, 1)
	ended := make(chan struct{})
	go scribble(mount, stop, written, ended)
	<-written
	out, err := os.Create(copied)
	if err != nil {
		t.Fatal(err)
	}
	// Halfway the writer must stand still.
	wrote, first := 0, true
	w := writer(func(p []byte) (int, error) {
		if first {
			first = false
			time.Sleep(50 * time.Millisecond) // what was under way ends
			for len(written) > 0 {
				<-written
			}
			time.Sleep(200 * time.Millisecond)
			wrote = len(written)
		}
		return out.Write(p)
	})
	err = Stream(t.Context(), w, s, Options{RequireFreeze: true})
	if err != nil || wrote != 0 {
		t.Errorf("Stream() = %v and %d writes while frozen; want none", err, wrote)
	}
	select { // thawed: the writer goes on
	case <-written:
	case <-time.After(5 * time.Second):
		t.Error("the writer does not go on")
	}
	close(stop)
	<-ended
	_ = exec.Command("e2fsck", "-fp", copied).Run() // replays the journal; 1 says that it did
	run(t, "e2fsck", "-fn", copied)
	got, err := exec.Command("debugfs", "-R", "cat before", copied).Output()
	if err != nil || !bytes.Equal(got, bytes.Repeat([]byte("x"), 1<<20)) {
		t.Errorf("file in the image has %d bytes (%v), want the 1 MiB written before", len(got), err)
	}
}

func scribble(dir string, stop, written, ended chan struct{}) {
	defer close(ended)
	for {
		select {
		case <-stop:
			return
		default:
		}
		_ = os.WriteFile(filepath.Join(dir, "now"), bytes.Repeat([]byte("y"), 64<<10), 0o600)
		select {
		case written <- struct{}{}:
		default:
		}
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if text, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, text)
	}
}
