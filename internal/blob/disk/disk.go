// Package disk keeps blobs in a folder of the local disk.
//
//	<dir>/ab/cdef…   a blob: its SHA-256, the first two digits as a folder
//	<dir>/tmp/…      a blob being written; swept by Open
package disk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/moult-ota/moult/internal/blob"
)

// A Store is a folder of blobs.
type Store struct{ dir string }

var _ blob.Store = (*Store)(nil)

// Open opens the folder dir, creates it if it is not there, and sweeps what
// writers of a killed process left. One process at a time writes to a folder.
func Open(dir string) (*Store, error) {
	s := &Store{dir}
	if err := os.RemoveAll(s.tmp()); err != nil {
		return nil, fmt.Errorf("sweep unfinished blobs: %w", err)
	}
	if err := os.MkdirAll(s.tmp(), 0o700); err != nil {
		return nil, fmt.Errorf("open blob folder: %w", err)
	}
	return s, nil
}

func (s *Store) tmp() string { return filepath.Join(s.dir, "tmp") }

func (s *Store) path(sum string) (string, error) {
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != sum {
		return "", fmt.Errorf("blob %.80q: %w", sum, blob.ErrNotFound) // and no way out of the folder
	}
	return filepath.Join(s.dir, sum[:2], sum[2:]), nil
}

// Open returns an *os.File.
func (s *Store) Open(_ context.Context, sum string) (blob.Reader, int64, error) {
	path, err := s.path(sum)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("blob %s: %w", sum, blob.ErrNotFound)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open blob: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("open blob: %w", err)
	}
	return f, st.Size(), nil
}

// Delete removes the file; readers keep theirs.
func (s *Store) Delete(_ context.Context, sum string) error {
	path, err := s.path(sum)
	if err != nil {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete blob: %w", err)
	}
	return nil
}

// Create starts a file in the tmp folder.
func (s *Store) Create(context.Context) (blob.Writer, error) {
	f, err := os.CreateTemp(s.tmp(), "blob-")
	if err != nil {
		return nil, fmt.Errorf("create blob: %w", full(err))
	}
	return &writer{s: s, f: f, hash: sha256.New()}, nil
}

type writer struct {
	s    *Store
	f    *os.File // nil after Commit or Close
	hash hash.Hash
	size int64
}

func (w *writer) Write(p []byte) (int, error) {
	if w.f == nil {
		return 0, fmt.Errorf("write blob: %w", os.ErrClosed)
	}
	n, err := w.f.Write(p)
	w.hash.Write(p[:n])
	w.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("write blob: %w", full(err))
	}
	return n, nil
}

func (w *writer) Sum() string { return hex.EncodeToString(w.hash.Sum(nil)) }

func (w *writer) Commit() (string, int64, error) {
	if w.f == nil {
		return "", 0, fmt.Errorf("commit blob: %w", os.ErrClosed)
	}
	sum := w.Sum()
	if err := w.commit(sum); err != nil {
		return "", 0, fmt.Errorf("commit blob: %w", full(err))
	}
	return sum, w.size, nil
}

// commit makes the bytes durable first, then the name, then its folder.
func (w *writer) commit(sum string) error {
	defer w.Close()
	path, err := w.s.path(sum)
	if err != nil {
		return err
	}
	if err := w.f.Chmod(0o600); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := syncDir(w.s.dir); err != nil {
		return err
	}
	if err := os.Rename(w.f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Close removes the unfinished file; after a rename there is none.
func (w *writer) Close() error {
	if w.f == nil {
		return nil
	}
	f := w.f
	w.f = nil
	err := f.Close()
	if rm := os.Remove(f.Name()); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// full says so when the disk is full.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w; free some, or delete artifacts that no deployment uses", blob.ErrFull, err)
	}
	return err
}
