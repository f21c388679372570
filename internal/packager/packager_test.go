package packager

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/moult-ota/moult/internal/blob"
	"github.com/moult-ota/moult/internal/blob/disk"
	"github.com/moult-ota/moult/internal/wire/object"
)

func pattern(size int) []byte {
	b := make([]byte, size)
	for p := range b {
		b[p] = byte(7*p + p>>8 + p>>16)
	}
	return b
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	if end := int(at) + len(p); end > len(m.b) {
		m.b = append(m.b, make([]byte, end-len(m.b))...)
	}
	return copy(m.b[at:], p), nil
}

// fetch reads an object as a device does.
func fetch(t testing.TB, p *Packager, artifact string) []byte {
	t.Helper()
	o, err := p.Object(artifact)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Open(context.Background(), o.Spec.OID())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	to := &memory{}
	v, err := object.NewVerifier(o.Spec, to, object.Options{Key: &o.Key})
	if err != nil {
		t.Fatal(err)
	}
	for v.Missing() > 0 {
		all := v.Ask(object.Window{Indices: object.MaxIndices})
		if len(all) == 0 {
			t.Fatalf("%d chunks missing, and nothing to ask for", v.Missing())
		}
		for _, q := range all {
			if err := r.Answer(q, v.Take); err != nil {
				t.Fatal(err)
			}
		}
	}
	return to.b
}

func fresh(t testing.TB) *server {
	t.Helper()
	s, err := start(t, t.TempDir(), rand.Reader, cut{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatGoesInComesOut(t *testing.T) {
	for _, size := range []int{1, 4095, 4096, 4097, 128 << 12, 128<<12 + 1, batchSize, batchSize + 1, 5*batchSize - 1} {
		s, plain := fresh(t), pattern(size)
		o, err := s.Make(context.Background(), sumOf(plain), int64(size), iotest.HalfReader(bytes.NewReader(plain)))
		if err != nil {
			t.Errorf("%d bytes: Make = %v", size, err)
			continue
		}
		if got := fetch(t, s.Packager, o.Artifact); !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %d come back", size, len(got))
		}
	}
}

// TestMakeIsDoneOnce: the same artifact has one object, also after a restart.
func TestMakeIsDoneOnce(t *testing.T) {
	s, plain := fresh(t), pattern(10_000)
	want, err := s.make1(plain)
	if err != nil {
		t.Fatal(err)
	}
	again, err := start(t, s.dir, rand.Reader, cut{})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*server{"same": s, "restarted": again} {
		got, err := p.Make(context.Background(), sumOf(plain), int64(len(plain)), iotest.ErrReader(errors.New("read again")))
		if err != nil || got != want {
			t.Errorf("%s: Make = %v, %v, want the first object", name, got.Spec, err)
		}
	}
}

// TestManyAtOnce makes and reads the same objects from many goroutines.
func TestManyAtOnce(t *testing.T) {
	s := fresh(t)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			plain := pattern(300_000 + i%3)
			o, err := s.make1(plain)
			if err != nil {
				t.Error(err)
				return
			}
			if got := fetch(t, s.Packager, o.Artifact); !bytes.Equal(got, plain) {
				t.Errorf("%d bytes: %d come back", len(plain), len(got))
			}
		})
	}
	wg.Wait()
	if names := s.files(t); len(names) != 9 {
		t.Errorf("3 objects have files %q", names)
	}
}

// TestTwoArtifactsAndTwoServersShareNoKey makes objects of the same bytes too.
func TestTwoArtifactsAndTwoServersShareNoKey(t *testing.T) {
	seen := map[object.Key]bool{}
	for range 3 {
		s := fresh(t)
		for _, size := range []int{5000, 6000} {
			o, err := s.make1(pattern(size))
			if err != nil {
				t.Fatal(err)
			}
			seen[o.Key] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d keys of 6 objects", len(seen))
	}
}

// TestFailedMakeLeavesNothing, and the next one has another key.
func TestFailedMakeLeavesNothing(t *testing.T) {
	plain := pattern(3 * batchSize)
	bad := errors.New("bad disk")
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		size int
		r    io.Reader
		want string
	}{
		{"short", context.Background(), len(plain), bytes.NewReader(plain[1:]), "unexpected EOF"},
		{"long", context.Background(), len(plain) - 1, bytes.NewReader(plain), "more than"},
		{"unreadable", context.Background(), len(plain), io.MultiReader(bytes.NewReader(plain[:batchSize+1]), iotest.ErrReader(bad)), "bad disk"},
		{"unreadable at the end", context.Background(), len(plain), io.MultiReader(bytes.NewReader(plain), iotest.ErrReader(bad)), "bad disk"},
		{"canceled", canceled, len(plain), bytes.NewReader(plain), "canceled"},
		{"empty", context.Background(), 0, bytes.NewReader(nil), "not an object"},
	}
	s := fresh(t)
	for _, tt := range tests {
		_, err := s.Make(tt.ctx, sumOf(plain), int64(tt.size), tt.r)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Make = %v, want %q", tt.name, err, tt.want)
		}
		if names := s.files(t); len(names) > 0 {
			t.Errorf("%s: left %q", tt.name, names)
		}
	}
	drawn := bytes.Clone(s.drawn)
	o, err := s.make1(plain)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(drawn, o.Key[:]) {
		t.Error("the key was drawn before")
	}
}

// TestFailedDiskIsSweptByTheNextMake: an operation fails, the server lives on.
func TestFailedDiskIsSweptByTheNextMake(t *testing.T) {
	plain := pattern(10_000)
	for op := 1; ; op++ {
		s := fresh(t)
		s.cut = cut{op, "after"}
		_, err := s.make1(plain)
		if err == nil {
			break
		}
		s.cut = cut{}
		if _, err := s.make1(plain); err != nil {
			t.Fatalf("operation %d: Make again = %v", op, err)
		}
		again, err := start(t, s.dir, rand.Reader, cut{}) // sweeps what a writer of the dead left
		if err != nil {
			t.Fatal(err)
		}
		whole(t, "after the disk came back", again, plain)
	}
}

func TestLostBlobIsMadeAnew(t *testing.T) {
	s, plain := fresh(t), pattern(10_000)
	was, err := s.make1(plain)
	if err != nil {
		t.Fatal(err)
	}
	k, _ := s.find(sumOf(plain))
	if err := s.Packager.blobs.Delete(context.Background(), k.tree); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(context.Background(), was.Spec.OID()); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Open = %v, want blob.ErrNotFound", err)
	}
	is, err := s.make1(plain)
	if err != nil || is.Key == was.Key {
		t.Errorf("Make = %v, the same key %v", err, is.Key == was.Key)
	}
	whole(t, "made anew", s, plain)
}

func TestRemove(t *testing.T) {
	s, plain := fresh(t), pattern(10_000)
	o, err := s.make1(plain)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Remove(context.Background(), o.Artifact); err != nil {
			t.Fatal(err)
		}
	}
	if names := s.files(t); len(names) > 0 {
		t.Errorf("Remove left %q", names)
	}
	if _, err := s.Open(context.Background(), o.Spec.OID()); !errors.Is(err, ErrNotFound) {
		t.Errorf("Open = %v, want ErrNotFound", err)
	}
	if _, err := s.Object(o.Artifact); !errors.Is(err, ErrNotFound) {
		t.Errorf("Object = %v, want ErrNotFound", err)
	}
}

// TestNothingAtRestHasThePlaintextOrTheKey looks through all files.
func TestNothingAtRestHasThePlaintextOrTheKey(t *testing.T) {
	s, plain := fresh(t), pattern(100_000)
	o, err := s.make1(plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range s.files(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, o.Key[:]) || bytes.Contains(text, []byte(hex.EncodeToString(o.Key[:]))) || bytes.Contains(text, plain[5000:5032]) {
			t.Errorf("%s has the key or the plaintext", name)
		}
	}
}

// TestEveryFlippedBitOfARecordIsRefused also with another server key.
func TestEveryFlippedBitOfARecordIsRefused(t *testing.T) {
	s, plain := fresh(t), pattern(10_000)
	o, err := s.make1(plain)
	if err != nil {
		t.Fatal(err)
	}
	notes, err := s.shelf.All()
	if err != nil {
		t.Fatal(err)
	}
	note := notes[recordName(o.Artifact)]
	if k, err := s.key.open(o.Artifact, note); err != nil || k.Object != o {
		t.Fatalf("open = %v", err)
	}
	for bit := range 8 * len(note) {
		flipped := bytes.Clone(note)
		flipped[bit/8] ^= 1 << (bit % 8)
		if _, err := s.key.open(o.Artifact, flipped); err == nil {
			t.Fatalf("bit %d: open = nil, want an error", bit)
		}
	}
	if _, err := (ServerKey{2}).open(o.Artifact, note); err == nil || !strings.Contains(err.Error(), "put the key file back") {
		t.Errorf("another server key: %v", err)
	}
	if _, err := s.key.open(sumOf(nil), note); err == nil {
		t.Error("the record of another artifact: nil")
	}
}

func TestServerKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "object.key")
	k, err := LoadKey(path, rand.Reader)
	if err != nil || k == (ServerKey{}) {
		t.Fatalf("LoadKey = %v", err)
	}
	if again, err := LoadKey(path, iotest.ErrReader(errors.New("drawn again"))); err != nil || again != k {
		t.Errorf("LoadKey again = %v, the same key %v", err, again == k)
	}
	os.Chmod(path, 0o640)
	if _, err := LoadKey(path, rand.Reader); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file for others: %v", err)
	}
	os.Remove(path)
	os.WriteFile(path, []byte("short\n"), 0o600)
	if _, err := LoadKey(path, rand.Reader); err == nil {
		t.Error("a short key: nil")
	}
	if k.String() != "server key" || k.GoString() != "server key" {
		t.Error("the key prints itself")
	}
}

func TestAnswerRefusesWhatItMayNotSend(t *testing.T) {
	s, plain := fresh(t), pattern(10_000)
	o, err := s.make1(plain)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(context.Background(), o.Spec.OID())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for name, q := range map[string]object.Request{
		"beyond": {Kind: object.Data, First: 3, Wanted: object.Bitmap{1}}, "nothing": {}, "kind": {Kind: 3, Wanted: object.Bitmap{1}},
	} {
		err := r.Answer(q, func([]byte) error { t.Errorf("%s: something was sent", name); return nil })
		if !errors.Is(err, object.ErrFormat) {
			t.Errorf("%s: Answer = %v, want ErrFormat", name, err)
		}
	}
	gone := errors.New("gone")
	n := 0
	err = r.Answer(object.Request{Kind: object.Data, Wanted: object.Bitmap{7}}, func([]byte) error { n++; return gone })
	if !errors.Is(err, gone) || n != 1 {
		t.Errorf("Answer = %v after %d messages, want 1", err, n)
	}
}

// TestBoundedMemory makes and serves 64 MiB.
func TestBoundedMemory(t *testing.T) {
	const size = 64 << 20
	dir := t.TempDir()
	blobs, err := disk.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(context.Background(), blobs, Folder(filepath.Join(dir, "notes")), ServerKey{1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	o, err := s.Make(context.Background(), sumOf([]byte("zeros")), size, io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(context.Background(), o.Spec.OID())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all := object.Bitmap(bytes.Repeat([]byte{255}, 8))
	runtime.ReadMemStats(&after)
	made := after.TotalAlloc - before.TotalAlloc
	for first := uint32(0); first < uint32(o.Spec.Chunks()); first += 64 {
		if err := r.Answer(object.Request{Kind: object.Data, First: first, Wanted: all}, func([]byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&before)
	served := before.TotalAlloc - after.TotalAlloc
	t.Logf("64 MiB made with %d KiB, served with %d KiB", made>>10, served>>10)
	if most := uint64(3*2*runtime.GOMAXPROCS(0)*batchSize + 12<<20); made > most || served > 8<<20 {
		t.Errorf("64 MiB made with %d bytes of memory in all, served with %d, want at most %d and 8 MiB", made, served, most)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
