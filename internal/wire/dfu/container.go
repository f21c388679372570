package dfu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes of a container's parts, and limits. In bytes, where not said.
const (
	prefixSize  = 11
	targetSize  = 274
	elementSize = 8
	nameSize    = 255

	MaxElements = 1024 // of a container
)

// ErrContainer is a file that is no DfuSe container.
var ErrContainer = errors.New("not a DfuSe container")

// A Target is what a container has for one alternate setting.
type Target struct {
	Alternate uint8
	Name      string // "": it has none
	Elements  []Element
}

// An Element is memory to write.
type Element struct {
	Address uint32
	Bytes   []byte
}

// AppendContainer appends the targets, without the suffix that follows them in
// a file.
func AppendContainer(dst []byte, targets []Target) ([]byte, error) {
	start := len(dst)
	if len(targets) > 255 {
		return dst, fmt.Errorf("append DfuSe container: %d targets, at most 255", len(targets))
	}
	out := append(dst, "DfuSe\x01\x00\x00\x00\x00"...)
	out = append(out, byte(len(targets)))
	for _, t := range targets {
		if len(t.Name) >= nameSize {
			return dst, fmt.Errorf("append DfuSe container: name of %d bytes, at most %d", len(t.Name), nameSize-1)
		}
		out = appendTarget(out, t)
	}
	binary.LittleEndian.PutUint32(out[start+6:], uint32(len(out)-start))
	return out, nil
}

func appendTarget(dst []byte, t Target) []byte {
	var body []byte
	for _, e := range t.Elements {
		body = binary.LittleEndian.AppendUint32(body, e.Address)
		body = binary.LittleEndian.AppendUint32(body, uint32(len(e.Bytes)))
		body = append(body, e.Bytes...)
	}
	dst = append(append(dst, "Target"...), t.Alternate)
	named := uint32(0)
	if t.Name != "" {
		named = 1
	}
	dst = binary.LittleEndian.AppendUint32(dst, named)
	dst = append(dst, append([]byte(t.Name), make([]byte, nameSize-len(t.Name))...)...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(t.Elements)))
	return append(dst, body...)
}

// ParseContainer reads a container; the suffix was cut off before. Bytes of
// elements are part of src.
func ParseContainer(src []byte) (targets []Target, err error) {
	if len(src) < prefixSize || string(src[:6]) != "DfuSe\x01" {
		return nil, fmt.Errorf("%w: no prefix", ErrContainer)
	}
	if size := binary.LittleEndian.Uint32(src[6:]); uint64(size) != uint64(len(src)) {
		return nil, fmt.Errorf("%w: %d bytes, its prefix says %d", ErrContainer, len(src), size)
	}
	rest, elements := src[prefixSize:], 0
	for range src[10] {
		var t Target
		if t, rest, err = parseTarget(rest, MaxElements-elements); err != nil {
			return nil, err
		}
		elements += len(t.Elements)
		targets = append(targets, t)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes after its targets", ErrContainer, len(rest))
	}
	return targets, nil
}

func parseTarget(src []byte, most int) (t Target, rest []byte, err error) {
	if len(src) < targetSize || string(src[:6]) != "Target" {
		return t, src, fmt.Errorf("%w: no target", ErrContainer)
	}
	t.Alternate = src[6]
	if binary.LittleEndian.Uint32(src[7:]) != 0 {
		name, _, _ := bytes.Cut(src[11:11+nameSize], []byte{0})
		t.Name = string(name[:min(len(name), nameSize-1)])
	}
	size, count := binary.LittleEndian.Uint32(src[266:]), binary.LittleEndian.Uint32(src[270:])
	if uint64(size) > uint64(len(src)-targetSize) || uint64(count) > uint64(most) {
		return t, src, fmt.Errorf("%w: target of %d bytes with %d elements", ErrContainer, size, count)
	}
	body, rest := src[targetSize:targetSize+size], src[targetSize+size:]
	for range count {
		if len(body) < elementSize || uint64(binary.LittleEndian.Uint32(body[4:])) > uint64(len(body)-elementSize) {
			return t, src, fmt.Errorf("%w: element is cut", ErrContainer)
		}
		end := elementSize + binary.LittleEndian.Uint32(body[4:])
		t.Elements = append(t.Elements, Element{binary.LittleEndian.Uint32(body), body[elementSize:end:end]})
		body = body[end:]
	}
	if len(body) > 0 {
		return t, src, fmt.Errorf("%w: %d bytes after a target's elements", ErrContainer, len(body))
	}
	return t, rest, nil
}
