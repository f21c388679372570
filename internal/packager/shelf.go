package packager

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moult-ota/moult/internal/atomicfile"
)

// maxNote bounds a note in bytes.
const maxNote = 4 << 10

// A Shelf keeps small notes by name, for one packager.
type Shelf interface {
	// Put replaces a note atomically; after nil, a power cut does not lose it.
	Put(name string, note []byte) error
	// Remove forgets a note; one that is not there is no error.
	Remove(name string) error
	// All returns every note.
	All() (map[string][]byte, error)
}

// A Folder is a shelf of files; it has the folder for itself.
type Folder string

var _ Shelf = Folder("")

// Put writes the file.
func (f Folder) Put(name string, note []byte) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return fmt.Errorf("keep object: %w", err)
	}
	return atomicfile.Write(filepath.Join(string(f), name), note, 0o600)
}

// Remove removes the file.
func (f Folder) Remove(name string) error {
	err := os.Remove(filepath.Join(string(f), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = f.sync()
	}
	if err != nil {
		return fmt.Errorf("forget object: %w", err)
	}
	return nil
}

func (f Folder) sync() error {
	d, err := os.Open(string(f))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// All reads the files that are notes, and leaves those that a Put began.
func (f Folder) All() (map[string][]byte, error) {
	names, err := os.ReadDir(string(f))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	notes := map[string][]byte{}
	for _, e := range names {
		_, record := isRecord(e.Name())
		if _, intent := isIntent(e.Name()); !record && !intent {
			continue
		}
		if notes[e.Name()], err = atomicfile.Read(filepath.Join(string(f), e.Name()), maxNote); err != nil {
			return nil, err
		}
	}
	return notes, nil
}
