package mcu

import (
	"errors"
	"io/fs"
	"os"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/mcuboot"
)

// A Shelf keeps one image on the gateway while an update is under way.
type Shelf interface {
	// Load returns what was last saved, and nil when nothing is there.
	Load() ([]byte, error)
	// Save replaces it: after a power cut Load returns the old or the new one.
	Save(image []byte) error
	Clear() error
}

// maxFile bounds an image with header and TLVs, in bytes.
const maxFile = mcuboot.MaxImage + 256<<10

// A File is a Shelf in one file. Its folder must exist.
type File string

var _ Shelf = File("")

// Load reads the file.
func (f File) Load() ([]byte, error) {
	image, err := atomicfile.Read(string(f), maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return image, err
}

// Save replaces the file.
func (f File) Save(image []byte) error { return atomicfile.Write(string(f), image, 0o600) }

// Clear removes the file, and what an interrupted Save left.
func (f File) Clear() error {
	err := os.Remove(string(f))
	os.Remove(string(f) + ".new")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
