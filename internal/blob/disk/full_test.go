package disk

import (
	"crypto/sha256"
	"errors"
	"os"
	"testing"

	"github.com/moult-ota/moult/internal/blob"
)

// /dev/full takes no byte, as a disk without room.
func TestWriteToAFullDisk(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := &writer{s: &Store{t.TempDir()}, f: f, hash: sha256.New()}
	if _, err := w.Write([]byte("x")); !errors.Is(err, blob.ErrFull) {
		t.Errorf("Write = %v, want ErrFull", err)
	}
}
