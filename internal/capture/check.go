package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// check looks at the file system in the image, repairs what a running system
// leaves open, and cuts off what is not the file system's.
func (i *Image) check(ctx context.Context, o Options) error {
	size, known, err := i.fileSystem()
	if err != nil {
		return err
	}
	switch {
	case known == "":
		o.note("the file system in the image is of no kind that is known here; it was not checked")
	case size > i.Size:
		return fmt.Errorf("%w: %d bytes of %d", ErrShort, i.Size, size)
	case known == "ext":
		if err := i.fsck(ctx); err != nil {
			return err
		}
	}
	if known == "" || size == i.Size {
		return nil
	}
	i.Size = size
	return os.Truncate(i.Path, size)
}

// fileSystem returns how long the file system says that it is.
func (i *Image) fileSystem() (size int64, known string, err error) {
	f, err := os.Open(i.Path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return 0, "", err
	}
	if i.Size = fi.Size(); i.Size == 0 {
		return 0, "", fmt.Errorf("%w: nothing came", ErrShort)
	}
	p := make([]byte, 2048)
	if n, err := f.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) || n < len(p) {
		return 0, "", errors.Join(ErrShort, err)
	}
	if size, ok := extSize(p[1024:]); ok {
		return size, "ext", nil
	}
	if size, ok := squashSize(p); ok {
		return min(size, i.Size), "squashfs", shorter(size, i.Size)
	}
	return 0, "", nil
}

func shorter(size, have int64) error {
	if size > have {
		return fmt.Errorf("%w: %d bytes of %d", ErrShort, have, size)
	}
	return nil
}

// extSize reads the superblock of ext2, 3 and 4 (kernel.org: ext4, "The Super
// Block").
func extSize(p []byte) (int64, bool) {
	le := binary.LittleEndian
	if le.Uint16(p[0x38:]) != 0xef53 {
		return 0, false
	}
	blocks := int64(le.Uint32(p[0x4:]))
	const incompat64 = 0x80
	if le.Uint32(p[0x60:])&incompat64 != 0 {
		blocks |= int64(le.Uint32(p[0x150:])) << 32
	}
	shift := le.Uint32(p[0x18:])
	if shift > 6 || blocks <= 0 || blocks > maxBytes/1024 {
		return 0, false
	}
	return blocks << (10 + shift), true
}

// squashSize reads the superblock of squashfs 4; images are padded to 4 KiB.
func squashSize(p []byte) (int64, bool) {
	if string(p[:4]) != "hsqs" {
		return 0, false
	}
	n := int64(binary.LittleEndian.Uint64(p[40:]))
	if n <= 0 || n > maxBytes {
		return 0, false
	}
	return (n + 4095) &^ 4095, true
}

// usedInodes is how many inodes of a new file system are taken; they are the
// first ones.
func usedInodes(image string) (int64, error) {
	f, err := os.Open(image)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	p := make([]byte, 1024)
	if _, err := f.ReadAt(p, 1024); err != nil {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint32(p)) - int64(binary.LittleEndian.Uint32(p[0x10:])), nil
}

// fsck replays the journal, as a boot would, unless the file system is new; it
// then wants nothing to be wrong.
func (i *Image) fsck(ctx context.Context) error {
	var err error
	if !i.made {
		err = filesystem(ctx, nil, "e2fsck", "-fp", i.Path)
	}
	const corrected = 1
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == corrected {
		err = nil
	}
	if err == nil {
		err = filesystem(ctx, nil, "e2fsck", "-fn", i.Path)
	}
	if err != nil {
		return fmt.Errorf("check file system: %w", err)
	}
	return nil
}
