package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
)

// maxTitle bounds the first line of an image.
const maxTitle = 4096

// An Image is a virtual device's firmware: a title line that says how it
// behaves when it is started, then bytes that stand for the rest.
type Image struct {
	Version string `json:"version"`
	Crashes bool   `json:"crashes,omitempty"` // dies before the agent starts
	Sick    bool   `json:"sick,omitempty"`    // starts, but fails its self-test
}

// Write writes an image of size bytes; equal arguments give equal bytes.
func (i Image) Write(w io.Writer, size int64, seed uint64) error {
	title, err := json.Marshal(i)
	if err != nil {
		return err
	}
	title = append(title, '\n')
	if _, err := w.Write(title); err != nil {
		return err
	}
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, err = io.CopyN(w, rand.NewChaCha8(key), size-int64(len(title)))
	return err
}

// ReadImage reads the title of the image on a disk.
func ReadImage(r io.ReaderAt) (Image, error) {
	title, err := bufio.NewReader(io.NewSectionReader(r, 0, maxTitle)).ReadBytes('\n')
	if err != nil {
		return Image{}, fmt.Errorf("read image title: %w", err)
	}
	var i Image
	if err := json.Unmarshal(title, &i); err != nil {
		return Image{}, fmt.Errorf("read image title: %w", err)
	}
	return i, nil
}
