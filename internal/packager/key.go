package packager

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/moult-ota/moult/internal/atomicfile"
)

const maxKeyFile = 128 // bytes

// A ServerKey seals content keys at rest, and is for nothing else. Who loses it
// loses no artifact: objects are made anew.
type ServerKey [32]byte

// String keeps the key out of logs.
func (ServerKey) String() string { return "server key" }

// GoString is String, for %#v.
func (k ServerKey) GoString() string { return k.String() }

// LoadKey reads the key file, 64 hex digits on a line, and writes a new one
// when there is none. A file that others may read is refused.
func LoadKey(path string, chance io.Reader) (k ServerKey, err error) {
	text, err := atomicfile.Read(path, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return newKey(path, chance)
	}
	if err != nil {
		return k, fmt.Errorf("load server key: %w", err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm()&0o077 != 0 {
		return k, fmt.Errorf("load server key: others may read %s; chmod 600 it, and draw a new one if they did", path)
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(raw) != len(k) {
		return k, fmt.Errorf("load server key: %s is not %d hex digits", path, 2*len(k))
	}
	return ServerKey(raw), nil
}

func newKey(path string, chance io.Reader) (k ServerKey, err error) {
	if _, err := io.ReadFull(chance, k[:]); err != nil {
		return k, fmt.Errorf("draw server key: %w", err)
	}
	if err := atomicfile.Write(path, []byte(hex.EncodeToString(k[:])+"\n"), 0o600); err != nil {
		return ServerKey{}, fmt.Errorf("keep server key: %w", err)
	}
	return k, nil
}
