package slot_test

import (
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/slot"
)

// A shared memory may be read while it is written. spoil changes what is
// written at an offset; broken makes uncached reads fail from an offset on.
type shared struct {
	mu     sync.Mutex
	m      memory
	spoil  int64 // 0: nothing
	broken int64 // 0: nothing
	direct int64 // bytes read past the cache
}

var errMedium = errors.New("medium error")

func (s *shared) ReadUncachedAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != 0 && off >= s.broken {
		return 0, errMedium
	}
	s.direct += int64(len(p))
	return s.m.ReadAt(p, off)
}

func (s *shared) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m.ReadAt(p, off)
}

func (s *shared) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.m.WriteAt(p, off)
	if s.spoil >= off && s.spoil < off+int64(n) && s.spoil != 0 {
		s.m.bytes[s.spoil] ^= 1
	}
	return n, err
}

func (s *shared) Sync() error          { return nil }
func (s *shared) Close() error         { return nil }
func (s *shared) Size() (int64, error) { return s.m.Size() }

func (s *shared) Flush(off, n int64) {}

// behind installs with the read-back behind the writing.
func behind(f slot.File, image []byte, d slot.Descriptor) error {
	w, err := slot.NewWriter(f, d.Length)
	if err != nil {
		return err
	}
	w.ReadBehind(func(f func()) { go f() })
	defer w.Stop()
	if _, err := w.Write(image); err != nil {
		return err
	}
	return w.Finish(d)
}

func TestReadBehind(t *testing.T) {
	image := random(40*mebibyte+12345, 1)
	stranger := describe(image)
	stranger.SHA256 = sha256.Sum256(nil)
	tests := []struct {
		name string
		file *shared
		desc slot.Descriptor
		want error // nil: it fits
	}{
		{"empty slot", &shared{}, describe(image), nil},
		{"spoilt at its start", &shared{spoil: 7}, describe(image), slot.ErrDigest},
		{"spoilt at its end", &shared{spoil: int64(len(image)) - 1}, describe(image), slot.ErrDigest},
		{"cannot be read from its middle on", &shared{broken: 20 * mebibyte}, describe(image), errMedium},
		{"cannot be read at its end", &shared{broken: 40 * mebibyte}, describe(image), errMedium},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := tt.file
			f.m.bytes = make([]byte, 41*mebibyte)
			if err := behind(f, image, tt.desc); !errors.Is(err, tt.want) {
				t.Fatalf("install = %v, want %v", err, tt.want)
			}
			_, err := slot.Check(f)
			if want := map[bool]error{true: nil, false: slot.ErrEmpty}[tt.want == nil]; !errors.Is(err, want) {
				t.Errorf("Check = %v, want %v", err, want)
			}
		})
	}
	var came *slot.StreamError
	f := &shared{m: memory{bytes: make([]byte, 41*mebibyte)}}
	if err := behind(f, image, stranger); !errors.As(err, &came) || came.Got != sha256.Sum256(image) {
		t.Errorf("install of another image = %v, want a StreamError", err)
	}
}

// A patient file holds its last writes back until something was read past the
// cache.
type patient struct {
	*shared
	t     *testing.T
	once  sync.Once
	begun chan struct{}
}

func (p *patient) ReadUncachedAt(b []byte, off int64) (int, error) {
	p.once.Do(func() { close(p.begun) })
	return p.shared.ReadUncachedAt(b, off)
}

func (p *patient) WriteAt(b []byte, off int64) (int, error) {
	if off >= 32*mebibyte && len(b) > slot.DescriptorSize {
		select {
		case <-p.begun:
		case <-time.After(20 * time.Second):
			p.t.Error("nothing was read back before the last writes")
		}
	}
	return p.shared.WriteAt(b, off)
}

// TestReadBehindIsBehind fails when all is read back at the end.
func TestReadBehindIsBehind(t *testing.T) {
	image := random(33*mebibyte, 1)
	f := &patient{shared: &shared{m: memory{bytes: make([]byte, 34*mebibyte)}}, t: t, begun: make(chan struct{})}
	if err := behind(f, image, describe(image)); err != nil {
		t.Error(err)
	}
}

// TestReadBehindSkips reads back what was there already, too: it may have been
// in the cache alone.
func TestReadBehindSkips(t *testing.T) {
	image := random(30*mebibyte, 1)
	f := &shared{m: memory{bytes: append(append([]byte(nil), image...), make([]byte, mebibyte)...)}}
	if err := behind(f, image, describe(image)); err != nil {
		t.Fatal(err)
	}
	if f.direct < int64(len(image)) {
		t.Errorf("read back %d of %d bytes", f.direct, len(image))
	}
}

// TestStopEndsTheTrail also where nothing was finished.
func TestStopEndsTheTrail(t *testing.T) {
	f := &shared{m: memory{bytes: make([]byte, 41*mebibyte)}}
	w, err := slot.NewWriter(f, 0)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	w.ReadBehind(func(f func()) { running.Go(f) })
	if _, err := io.CopyN(w, zeros{}, 20*mebibyte); err != nil {
		t.Fatal(err)
	}
	w.Stop()
	w.Stop()
	running.Wait()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
