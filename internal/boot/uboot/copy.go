package uboot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"

	"github.com/moult-ota/moult/internal/boot/variables"
)

// Limits of one copy, in bytes.
const (
	minSize = 64
	maxSize = 1 << 20
)

const (
	sumSize  = 4 // CRC-32 of the text, in the processor's byte order
	flagSize = 1 // of redundant copies: a counter
)

// Errors for callers that branch.
var (
	ErrSum  = errors.New("checksum is wrong")
	ErrFull = errors.New("environment is full")
	ErrText = errors.New("no U-Boot variable can say this")
)

// A Copy is one copy of an environment.
type Copy struct {
	Set     variables.Set
	Counter uint8 // of redundant copies; 0 otherwise
}

// AppendCopy appends c as size bytes.
//
//	single     0 4 CRC-32 of the rest   4 text
//	redundant  0 4 CRC-32 of the text   4 1 counter   5 text
//	text       name=value NUL name=value NUL … NUL, then NULs; sorted by name
func AppendCopy(dst []byte, c Copy, size int, redundant bool) ([]byte, error) {
	head := headSize(redundant)
	p := make([]byte, head, size)
	for _, name := range slices.Sorted(maps.Keys(c.Set)) {
		if err := sayable(name, c.Set[name]); err != nil {
			return dst, fmt.Errorf("write variable %q: %w", name, err)
		}
		p = append(p, name+"="+c.Set[name]+"\x00"...)
	}
	if len(p)+1 > size {
		return dst, fmt.Errorf("write %d bytes into %d: %w", len(p)+1, size, ErrFull)
	}
	p = p[:size]
	if redundant {
		p[sumSize] = c.Counter
	}
	binary.NativeEndian.PutUint32(p, crc32.ChecksumIEEE(p[head:]))
	return append(dst, p...), nil
}

func sayable(name, value string) error {
	if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
		return ErrText
	}
	return nil
}

// ParseCopy reads the copy that p is, all of it. Like U-Boot it takes the last
// of two values and ignores text without a name.
func ParseCopy(p []byte, redundant bool) (Copy, error) {
	head := headSize(redundant)
	if len(p) < minSize || len(p) > maxSize {
		return Copy{}, fmt.Errorf("parse environment: %d bytes, want %d to %d", len(p), minSize, maxSize)
	}
	if crc32.ChecksumIEEE(p[head:]) != binary.NativeEndian.Uint32(p) {
		return Copy{}, fmt.Errorf("parse environment: %w", ErrSum)
	}
	c := Copy{Set: variables.Set{}}
	if redundant {
		c.Counter = p[sumSize]
	}
	for text := p[head:]; len(text) > 0 && text[0] != 0; {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{0})
		if name, value, ok := strings.Cut(string(line), "="); ok && name != "" {
			c.Set[name] = value
		}
	}
	return c, nil
}

func headSize(redundant bool) int {
	if redundant {
		return sumSize + flagSize
	}
	return sumSize
}

// newer reports whether the second of two sound copies is the one in force.
// It is U-Boot's rule and libubootenv's: 0 is newer than 255 and than nothing
// else, so this is no serial number; the first copy wins when they are equal.
func newer(first, second uint8) bool {
	switch {
	case first == 255 && second == 0:
		return true
	case first == 0 && second == 255:
		return false
	}
	return second > first
}
