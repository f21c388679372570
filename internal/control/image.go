package control

import (
	"fmt"
	"io"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/mcupayload"
	"github.com/moult-ota/moult/mcuboot"
)

// verify reads all of an artifact, as artifact.Verify does, and looks into it
// when it is for microcontrollers.
func (c *Control) verify(r io.Reader) (*artifact.Header, error) {
	a, err := artifact.NewReader(r, artifact.ReaderOptions{Keys: c.Keys, AllowUnsigned: true})
	if err != nil {
		return nil, err
	}
	defer a.Close()
	h, files := a.Header(), 0
	for {
		f, err := a.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if files++; h.PayloadType == mcupayload.Type {
			if err := c.checkImage(f, h.Provides); err != nil {
				return nil, fmt.Errorf("file %s: %w", f.Name, err)
			}
		}
	}
	if h.PayloadType == mcupayload.Type && files != 1 {
		return nil, fmt.Errorf("%d files, want one image", files)
	}
	return h, nil
}

// checkImage wants what a device would take: an image, signed by one of the
// release keys if there are any, that is what the artifact says.
func (c *Control) checkImage(f *artifact.File, provides map[string]string) error {
	if f.Size > mcuboot.MaxImage+1<<20 {
		return fmt.Errorf("%w: %d bytes", mcuboot.ErrFormat, f.Size)
	}
	im, err := mcupayload.Read(f)
	if err != nil && im == nil {
		return err
	}
	if err := mcupayload.Check(im, c.ImageKeys); err != nil {
		return err
	}
	return mcupayload.Agree(provides, im)
}
