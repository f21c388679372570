package agent

import (
	"errors"
	"io/fs"

	"github.com/moult-ota/moult/internal/atomicfile"
)

// maxStored bounds what a FileStore reads, in bytes.
const maxStored = 1 << 20

// A FileStore is a Store in one file. Its folder must exist.
type FileStore string

// Load reads the file; one that is missing holds nothing.
func (f FileStore) Load() ([]byte, error) {
	text, err := atomicfile.Read(string(f), maxStored)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// Save replaces the file.
func (f FileStore) Save(text []byte) error { return atomicfile.Write(string(f), text, 0o600) }
