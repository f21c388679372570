package smp

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Limits of what a map may hold.
const (
	maxNesting = 6  // map, images, image, slots, slot, value
	maxPairs   = 64 // of one map
	maxArray   = 64 // elements of one list
	maxText    = 1024
	maxHash    = 64 // SHA-512
)

// ErrMessage is a body that does not say what it should.
var ErrMessage = errors.New("not that SMP message")

// Zephyr's encoder writes maps of indefinite length, so these are read; what
// is written is RFC 8949 §4.2.1. Fields that are not known are passed over.
var (
	encoder = must(cbor.EncOptions{Sort: cbor.SortCoreDeterministic, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden}.EncMode())
	decoder = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, TagsMd: cbor.TagsForbidden, FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		MaxNestedLevels: maxNesting, MaxArrayElements: maxArray, MaxMapPairs: maxPairs,
	}.DecMode())
)

func must[M any](m M, err error) M {
	if err != nil {
		panic(err) // nothing here depends on outside values
	}
	return m
}

// A Message is the body of a packet.
type Message interface {
	check() error // refuses what is too long
}

// AppendBody appends a message.
func AppendBody(dst []byte, m Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return dst, fmt.Errorf("append %T: %w: %w", m, ErrMessage, err)
	}
	body, err := encoder.Marshal(m)
	if err != nil {
		return dst, fmt.Errorf("append %T: %w: %w", m, ErrMessage, err)
	}
	return append(dst, body...), nil
}

// ParseBody reads a message that takes up all of src.
func ParseBody[M Message](src []byte) (M, error) {
	var m, none M
	err := unmarshal(src, &m)
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return none, fmt.Errorf("parse %T: %w: %w", m, ErrMessage, err)
	}
	return m, nil
}

func unmarshal(src []byte, v any) error {
	const majorMap = 5
	if len(src) > MaxPacket-HeaderSize || len(src) == 0 || src[0]>>5 != majorMap {
		return fmt.Errorf("%d bytes, want a map", len(src))
	}
	return decoder.Unmarshal(src, v)
}

// ParseAnswer reads the answer to a request: the message, or the *Error that
// came instead of it.
func ParseAnswer[M Message](p Packet) (M, error) {
	if err := ParseError(p.Body); err != nil {
		var none M
		return none, err
	}
	return ParseBody[M](p.Body)
}

func most(what string, n, limit int) error {
	if n > limit {
		return fmt.Errorf("%s of %d bytes, at most %d", what, n, limit)
	}
	return nil
}
