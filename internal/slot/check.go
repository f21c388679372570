package slot

import (
	"errors"
	"fmt"
	"unsafe"
)

// ErrDigest means that the bytes in a slot are not the image that its
// descriptor names.
var ErrDigest = errors.New("image digest does not match")

// chunk is the unit of reading and writing, in bytes. One chunk and one
// compare block are all the memory that this package takes.
const chunk = 1 << 20

// page is the alignment of reads past the page cache, in bytes.
const page = 4096

// Check reads the slot's descriptor and then all of its image, and returns the
// descriptor when the image is the one it names. The error is ErrEmpty,
// ErrDescriptor, ErrDigest or one of reading.
func Check(f File) (Descriptor, error) {
	d, err := ReadDescriptor(f)
	if err != nil {
		return Descriptor{}, err
	}
	s, err := readAt(f.ReadAt).readAll(d.Length)
	if err != nil {
		return Descriptor{}, err
	}
	if s.sha256() != d.SHA256 {
		return Descriptor{}, fmt.Errorf("verify image of %d bytes: %w", d.Length, ErrDigest)
	}
	return d, nil
}

// ReadDescriptor reads the slot's descriptor and not the image. It tells what
// the slot is meant to hold; only Check tells that it does.
func ReadDescriptor(f File) (Descriptor, error) {
	room, err := Capacity(f)
	if err != nil {
		return Descriptor{}, err
	}
	p := make([]byte, DescriptorSize)
	if n, err := f.ReadAt(p, room); n < len(p) {
		return Descriptor{}, fmt.Errorf("read slot descriptor: %w", err)
	}
	d, _, err := ParseDescriptor(p)
	if err != nil {
		return Descriptor{}, err
	}
	if d.Length > room {
		return Descriptor{}, fmt.Errorf("read slot descriptor: image of %d bytes in %d: %w", d.Length, room, ErrDescriptor)
	}
	return d, nil
}

// Capacity returns how long an image the slot can hold, in bytes; the
// descriptor begins there.
func Capacity(f File) (int64, error) {
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	if size < 2*DescriptorSize {
		return 0, fmt.Errorf("slot of %d bytes: want at least %d", size, 2*DescriptorSize)
	}
	return size&^(DescriptorSize-1) - DescriptorSize, nil
}

// Aligned returns n bytes that start on a page, as reading past the page cache
// needs.
func Aligned(n int) []byte {
	p := make([]byte, n+page)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(p)))) & (page - 1)
	return p[skip : skip+n : skip+n]
}
