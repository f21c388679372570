package slot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Apart opens the slot at path with its descriptor in a file beside, which is
// made when it is missing. An image may then fill the slot. It is for boot
// loaders that do not look for descriptors.
func Apart(path, descriptor string) (File, error) {
	f, err := OpenFile(path)
	if err != nil {
		return nil, err
	}
	d, err := openDescriptor(descriptor)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open slot descriptor: %w", err), f.Close())
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, d.Close(), f.Close())
	}
	return &apart{disk: f.(*disk), page: d, room: size &^ (DescriptorSize - 1)}, nil
}

// openDescriptor opens a file of DescriptorSize bytes that survives a cut.
func openDescriptor(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && fi.Size() == DescriptorSize {
		return f, nil
	}
	err = errors.Join(err, f.Truncate(DescriptorSize), f.Sync())
	folder, ferr := os.Open(filepath.Dir(path))
	if ferr == nil {
		ferr = errors.Join(folder.Sync(), folder.Close())
	}
	if err = errors.Join(err, ferr); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// An apart is a slot that seems longer by its descriptor.
type apart struct {
	*disk
	page *os.File
	room int64
}

func (a *apart) Size() (int64, error) { return a.room + DescriptorSize, nil }

func (a *apart) ReadAt(p []byte, off int64) (int, error) {
	if off >= a.room {
		return a.page.ReadAt(p, off-a.room)
	}
	return a.disk.ReadAt(p, off)
}

func (a *apart) WriteAt(p []byte, off int64) (int, error) {
	if off >= a.room {
		return a.page.WriteAt(p, off-a.room)
	}
	return a.disk.WriteAt(p, off)
}

func (a *apart) ReadUncachedAt(p []byte, off int64) (int, error) {
	if off >= a.room {
		return a.page.ReadAt(p, off-a.room)
	}
	return a.disk.ReadUncachedAt(p, off)
}

// Sync stores the image before the page that describes it.
func (a *apart) Sync() error { return errors.Join(a.disk.Sync(), a.page.Sync()) }

func (a *apart) Close() error { return errors.Join(a.page.Close(), a.disk.Close()) }
