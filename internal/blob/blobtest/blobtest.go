// Package blobtest holds the suite that every kind of blob.Store passes.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/moult-ota/moult/internal/blob"
)

// Run runs the suite; fresh returns an empty store.
func Run(t *testing.T, fresh func(t testing.TB) blob.Store) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, blob.Store)
	}{
		{"written is read", writtenIsRead},
		{"an empty blob", emptyBlob},
		{"nothing before commit", nothingBeforeCommit},
		{"closed without commit is forgotten", closedIsForgotten},
		{"after commit a writer is of no use", committedIsOver},
		{"the same bytes twice", sameTwice},
		{"deleted is gone, readers stay", deletedIsGone},
		{"names that are no sums", strangeNames},
		{"many at once", manyAtOnce},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, fresh(t)) })
	}
}

var ctx = context.Background()

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func create(t testing.TB, s blob.Store, content []byte) blob.Writer {
	t.Helper()
	w, err := s.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for len(content) > 0 { // in pieces, as it comes from a network
		n, err := w.Write(content[:min(1000, len(content))])
		if err != nil {
			t.Fatal(err)
		}
		content = content[n:]
	}
	return w
}

func put(t testing.TB, s blob.Store, content []byte) string {
	t.Helper()
	w := create(t, s, content)
	if got := w.Sum(); got != sumOf(content) {
		t.Fatalf("Sum before Commit = %s, want %s", got, sumOf(content))
	}
	sum, size, err := w.Commit()
	if err != nil || sum != sumOf(content) || size != int64(len(content)) {
		t.Fatalf("Commit = %s, %d, %v, want %s, %d", sum, size, err, sumOf(content), len(content))
	}
	if err := w.Close(); err != nil {
		t.Fatalf("Close after Commit = %v", err)
	}
	return sum
}

func absent(t testing.TB, s blob.Store, sum string) {
	t.Helper()
	r, _, err := s.Open(ctx, sum)
	if err == nil {
		r.Close()
	}
	if !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Open(%q) = %v, want ErrNotFound", sum, err)
	}
}

func writtenIsRead(t *testing.T, s blob.Store) {
	content := bytes.Repeat([]byte("0123456789"), 1000)
	r, size, err := s.Open(ctx, put(t, s, content))
	if err != nil || size != int64(len(content)) {
		t.Fatalf("Open = %d, %v, want %d bytes", size, err, len(content))
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %d bytes, %v, want the %d written", len(got), err, len(content))
	}
	if at, err := r.Seek(-3, io.SeekEnd); err != nil || at != size-3 {
		t.Errorf("Seek(-3, end) = %d, %v", at, err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "789" {
		t.Errorf("read after Seek = %q, %v, want 789", got, err)
	}
	part := make([]byte, 4)
	if _, err := r.ReadAt(part, 1002); err != nil || string(part) != "2345" {
		t.Errorf("ReadAt(1002) = %q, %v, want 2345", part, err)
	}
	if n, err := r.ReadAt(part, size-2); n != 2 || err != io.EOF {
		t.Errorf("ReadAt over the end = %d, %v, want 2, EOF", n, err)
	}
}

func emptyBlob(t *testing.T, s blob.Store) {
	r, size, err := s.Open(ctx, put(t, s, nil))
	if err != nil || size != 0 {
		t.Fatalf("Open = %d, %v, want an empty blob", size, err)
	}
	r.Close()
}

func nothingBeforeCommit(t *testing.T, s blob.Store) {
	w := create(t, s, []byte("soon"))
	defer w.Close()
	absent(t, s, sumOf([]byte("soon")))
}

func closedIsForgotten(t *testing.T, s blob.Store) {
	w := create(t, s, []byte("given up"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Commit(); err == nil {
		t.Error("Commit after Close = nil, want an error")
	}
	absent(t, s, sumOf([]byte("given up")))
}

func committedIsOver(t *testing.T, s blob.Store) {
	w := create(t, s, []byte("all"))
	if _, _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("more")); err == nil {
		t.Error("Write after Commit = nil, want an error")
	}
	if _, _, err := w.Commit(); err == nil {
		t.Error("Commit after Commit = nil, want an error")
	}
}

func sameTwice(t *testing.T, s blob.Store) {
	content := []byte("the same")
	first := put(t, s, content)
	r, _, err := s.Open(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	put(t, s, content)
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
		t.Errorf("reader from before read %q, %v, want %q", got, err, content)
	}
}

func deletedIsGone(t *testing.T, s blob.Store) {
	content := bytes.Repeat([]byte("x"), 1<<20)
	sum := put(t, s, content)
	r, _, err := s.Open(ctx, sum)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := s.Delete(ctx, sum); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || len(got) != len(content) {
		t.Errorf("reader of a deleted blob read %d bytes, %v, want all %d", len(got), err, len(content))
	}
	absent(t, s, sum)
	if err := s.Delete(ctx, sum); err != nil {
		t.Errorf("Delete again = %v, want nil", err)
	}
	put(t, s, content) // and it may come back
}

func strangeNames(t *testing.T, s blob.Store) {
	upper := strings.ToUpper(put(t, s, []byte("abc")))
	for _, name := range []string{"", "ab", "../../etc/passwd", strings.Repeat("/", 64), strings.Repeat("g", 64), upper,
		strings.Repeat("a", 63), strings.Repeat("a", 66), "tmp"} {
		absent(t, s, name)
		if err := s.Delete(ctx, name); err != nil {
			t.Errorf("Delete(%q) = %v, want nil", name, err)
		}
	}
}

func manyAtOnce(t *testing.T, s blob.Store) {
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { // five blobs, four writers of each
			content := bytes.Repeat([]byte{byte(i % 5)}, 10_000)
			w, err := s.Create(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			w.Write(content)
			sum, _, err := w.Commit()
			if err != nil {
				t.Errorf("Commit = %v", err)
				return
			}
			r, size, err := s.Open(ctx, sum)
			if err != nil || size != int64(len(content)) {
				t.Errorf("Open = %d, %v, want %d bytes", size, err, len(content))
				return
			}
			r.Close()
		})
	}
	wg.Wait()
}
