package packager

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-ota/moult/internal/blob"
	"github.com/moult-ota/moult/internal/blob/disk"
	"github.com/moult-ota/moult/internal/wire/object"
)

var errKilled = errors.New("killed")

// A cut kills the process at an operation on the disk: before its effect,
// after it, or in the midst of it.
type cut struct {
	op   int // from 1; 0 means never
	mode string
}

var modes = []string{"before", "after", "torn"}

// A server is one process, from its start to its end.
type server struct {
	*Packager
	dir    string
	cut    cut
	ops    int
	drawn  []byte       // what was taken from chance
	cipher bytes.Buffer // what was written to the first blob
	blobs  int
	chance io.Reader
}

// never repeats, over all servers of a test.
type never struct{ n uint64 }

func (c *never) Read(p []byte) (int, error) {
	for i := range p {
		c.n++
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], c.n*0x9e3779b97f4a7c15)
		p[i] = b[0] ^ b[3]
	}
	return len(p), nil
}

// step does one operation, unless the server is dead.
func (s *server) step(effect, torn func() error) error {
	s.ops++
	switch {
	case s.cut.op == 0 || s.ops < s.cut.op:
		return effect()
	case s.ops > s.cut.op:
	case s.cut.mode == "after":
		effect()
	case s.cut.mode == "torn":
		torn()
	}
	return errKilled
}

func (s *server) dead() bool { return s.cut.op > 0 && s.ops >= s.cut.op }

func nothing() error { return nil }

func (s *server) Read(p []byte) (int, error) {
	n, err := s.chance.Read(p)
	s.drawn = append(s.drawn, p[:n]...)
	return n, err
}

type cutBlobs struct {
	*server
	to blob.Store
}

func (b cutBlobs) Create(ctx context.Context) (w blob.Writer, err error) {
	err = b.step(func() error { w, err = b.to.Create(ctx); return err }, nothing)
	b.server.blobs++
	return &cutWriter{w, b.server, b.server.blobs == 1}, err
}

func (b cutBlobs) Open(ctx context.Context, sum string) (r blob.Reader, n int64, err error) {
	if b.dead() {
		return nil, 0, errKilled
	}
	return b.to.Open(ctx, sum)
}

func (b cutBlobs) Delete(ctx context.Context, sum string) error {
	return b.step(func() error { return b.to.Delete(ctx, sum) }, nothing)
}

type cutWriter struct {
	blob.Writer
	s     *server
	first bool
}

func (w *cutWriter) Write(p []byte) (n int, err error) {
	write := func(p []byte) error {
		if w.first {
			w.s.cipher.Write(p)
		}
		n, err = w.Writer.Write(p)
		return err
	}
	err = w.s.step(func() error { return write(p) }, func() error { return write(p[:len(p)/2]) })
	return n, err
}

func (w *cutWriter) Commit() (sum string, n int64, err error) {
	err = w.s.step(func() error { sum, n, err = w.Writer.Commit(); return err }, nothing)
	return sum, n, err
}

// Close cleans up, which a killed process does not.
func (w *cutWriter) Close() error {
	if w.s.dead() || w.Writer == nil {
		return nil
	}
	return w.Writer.Close()
}

type cutShelf struct {
	*server
	to Folder
}

func (f cutShelf) Put(name string, note []byte) error {
	half := func() error { return os.WriteFile(filepath.Join(string(f.to), name+".new"), note[:len(note)/2], 0o600) }
	return f.step(func() error { return f.to.Put(name, note) }, half)
}

func (f cutShelf) Remove(name string) error {
	return f.step(func() error { return f.to.Remove(name) }, nothing)
}

func (f cutShelf) All() (map[string][]byte, error) {
	if f.dead() {
		return nil, errKilled
	}
	return f.to.All()
}

// start starts a process over dir, and returns the error of Open.
func start(t testing.TB, dir string, chance io.Reader, c cut) (*server, error) {
	t.Helper()
	blobs, err := disk.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: dir, cut: c, chance: chance}
	s.Packager, err = Open(context.Background(), cutBlobs{s, blobs}, cutShelf{s, Folder(filepath.Join(dir, "notes"))}, ServerKey{1}, s)
	return s, err
}

// files are those below dir that a start would not sweep or overwrite.
func (s *server) files(t testing.TB) (names []string) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) != ".new" {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A ledger holds every key that was drawn and every chunk that was written.
type ledger struct {
	plain  []byte
	keys   map[string]string // key and nonce0: which run
	chunks map[string]string // ciphertext: which run
}

// enter fails when a run used a key that another had, or encrypted with a key
// that it did not draw itself.
func (l *ledger) enter(t *testing.T, run string, s *server) {
	t.Helper()
	if s.cipher.Len() == 0 {
		return
	}
	secret := string(s.drawn[:48])
	if was, ok := l.keys[secret]; ok {
		t.Errorf("%s has the key of %s", run, was)
	}
	l.keys[secret] = run
	spec := object.Spec{Nonce0: object.Nonce(s.drawn[32:48]), Chunk: object.DefaultChunk, Size: int64(len(l.plain))}
	c, err := object.NewCipher(object.Key(s.drawn[:32]), spec)
	if err != nil {
		t.Fatal(err)
	}
	for i, rest := 0, s.cipher.Bytes(); len(rest) > 0; i++ {
		n := min(len(rest), spec.ChunkSize(i)+object.Overhead)
		chunk := rest[:n]
		rest = rest[n:]
		if was, ok := l.chunks[string(chunk)]; ok {
			t.Errorf("%s: chunk %d was written by %s", run, i, was)
		}
		l.chunks[string(chunk)] = run
		if n < spec.ChunkSize(i)+object.Overhead { // torn
			break
		}
		at := spec.Offset(i)
		if got, err := c.Open(nil, i, chunk); err != nil || !bytes.Equal(got, l.plain[at:at+int64(len(got))]) {
			t.Fatalf("%s: chunk %d is not of the key that was drawn: %v", run, i, err)
		}
	}
}

// whole wants the object's three files and its plaintext.
func whole(t *testing.T, what string, s *server, plain []byte) {
	t.Helper()
	if names := s.files(t); len(names) != 3 {
		t.Errorf("%s: files %q, want 2 blobs and a record", what, names)
	}
	if got := fetch(t, s.Packager, sumOf(plain)); !bytes.Equal(got, plain) {
		t.Errorf("%s: %d bytes come back, not the %d that went", what, len(got), len(plain))
	}
}

// afterCut restarts, and wants the object whole or gone; then makes it.
func afterCut(t *testing.T, l *ledger, what string, killed *server) {
	t.Helper()
	s, err := start(t, killed.dir, killed.chance, cut{})
	if err != nil {
		t.Fatalf("%s: start again: %v", what, err)
	}
	_, err = s.Object(sumOf(l.plain))
	if err == nil {
		whole(t, what+", started again", s, l.plain)
	} else if names := s.files(t); len(names) > 0 {
		t.Errorf("%s: no object, but %q", what, names)
	}
	if _, err := s.make1(l.plain); err != nil {
		t.Fatalf("%s: Make = %v", what, err)
	}
	whole(t, what+", made again", s, l.plain)
	l.enter(t, what+", second run", s)
}

func (s *server) make1(plain []byte) (Object, error) {
	return s.Make(context.Background(), sumOf(plain), int64(len(plain)), bytes.NewReader(plain))
}

// TestKilledAtEveryStepNeverReusesAKey cuts a run at each of its operations.
func TestKilledAtEveryStepNeverReusesAKey(t *testing.T) {
	l := &ledger{pattern(2*batchSize + 5000), map[string]string{}, map[string]string{}}
	chance := &never{}
	clean, err := start(t, t.TempDir(), chance, cut{})
	if err == nil {
		_, err = clean.make1(l.plain)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.enter(t, "clean run", clean)
	whole(t, "clean run", clean, l.plain)
	if clean.ops < 10 {
		t.Fatalf("a clean run has %d operations", clean.ops)
	}
	for op := 1; op <= clean.ops; op++ {
		for _, mode := range modes {
			what := fmt.Sprintf("killed %s operation %d of %d", mode, op, clean.ops)
			s, err := start(t, t.TempDir(), chance, cut{op, mode})
			if err == nil {
				_, err = s.make1(l.plain)
			}
			if !errors.Is(err, errKilled) {
				t.Fatalf("%s: %v", what, err)
			}
			l.enter(t, what, s)
			afterCut(t, l, what, s)
		}
	}
	if len(l.keys) < 2*clean.ops {
		t.Errorf("%d keys in %d runs", len(l.keys), 6*clean.ops)
	}
}

// TestKilledWhileSweeping cuts the start after a cut.
func TestKilledWhileSweeping(t *testing.T) {
	l := &ledger{pattern(10_000), map[string]string{}, map[string]string{}}
	chance := &never{}
	for first := 3; first <= 9; first++ {
		for second := 1; ; second++ {
			what := fmt.Sprintf("killed after operation %d, then after %d", first, second)
			s, err := start(t, t.TempDir(), chance, cut{first, "after"})
			if err == nil {
				_, err = s.make1(l.plain)
			}
			if !errors.Is(err, errKilled) {
				t.Fatalf("%s: %v", what, err)
			}
			l.enter(t, what, s)
			again, err := start(t, s.dir, chance, cut{second, "after"})
			if err == nil {
				_, err = again.make1(l.plain)
			}
			l.enter(t, what+", second run", again)
			if err == nil { // nothing was left to cut
				break
			}
			afterCut(t, l, what, again)
		}
	}
}

// TestKilledWhileRemoving leaves an object whole or gone.
func TestKilledWhileRemoving(t *testing.T) {
	l := &ledger{pattern(10_000), map[string]string{}, map[string]string{}}
	chance := &never{}
	for op := 1; ; op++ {
		for _, mode := range modes {
			s, err := start(t, t.TempDir(), chance, cut{})
			if err == nil {
				_, err = s.make1(l.plain)
			}
			if err != nil {
				t.Fatal(err)
			}
			l.enter(t, "before", s)
			s.cut = cut{s.ops + op, mode}
			if err := s.Remove(context.Background(), sumOf(l.plain)); err == nil {
				if op < 5 {
					t.Errorf("Remove has %d operations", op)
				}
				return
			}
			afterCut(t, l, fmt.Sprintf("killed %s operation %d of Remove", mode, op), s)
		}
	}
}
