package object

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Limits of a request.
const (
	MaxIndices    = 64        // asked for in one request
	MaxAnswered   = 256 << 10 // bytes of plaintext, or of hashes, that answer one request
	MaxSpan       = 512       // from the first index asked for to behind the last
	MaxRequest    = 80        // bytes of an encoded request
	maxMapPairs   = 16        // the codec takes no lower limit
	maxNestLevels = 4         // the codec takes no lower limit
)

// ErrFormat is returned for a request or an answer that is not one.
var ErrFormat = errors.New("wrong format")

// A Kind says what is asked for.
type Kind uint8

// The kinds.
const (
	Data     Kind = 0 // the ciphertext of a chunk
	LeafPage Kind = 1 // the leaves of up to PageLeaves chunks
	PageList Kind = 2 // the hashes of all leaf pages; its only index is 0
)

// String is the kind's name.
func (k Kind) String() string {
	switch k {
	case Data:
		return "chunk"
	case LeafPage:
		return "leaf page"
	case PageList:
		return "page list"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// A Request asks for pieces of one object: First+i for every i in Wanted.
type Request struct {
	Kind   Kind   `cbor:"1,keyasint"`
	First  uint32 `cbor:"2,keyasint"`
	Wanted Bitmap `cbor:"3,keyasint"` // begins with First; ends with a byte that is not 0
}

// Indices are the pieces asked for, in order.
func (r Request) Indices() []int {
	all := make([]int, 0, MaxIndices)
	for i := range 8 * len(r.Wanted) {
		if r.Wanted.Has(i) {
			all = append(all, int(r.First)+i)
		}
	}
	return all
}

// Both modes are RFC 8949 §4.2.1, core deterministic encoding. Nothing here
// depends on outside values, so a mode that cannot be made is a bug.
var (
	encoder = must(cbor.CoreDetEncOptions().EncMode())
	decoder = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels: maxNestLevels, MaxArrayElements: maxMapPairs, MaxMapPairs: maxMapPairs,
	}.DecMode())
)

func must[M any](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}

// AppendRequest appends r to dst.
func AppendRequest(dst []byte, r Request) ([]byte, error) {
	if err := r.check(); err != nil {
		return dst, fmt.Errorf("encode request: %w", err)
	}
	raw, err := encoder.Marshal(r)
	if err != nil {
		return dst, fmt.Errorf("encode request: %w", err)
	}
	return append(dst, raw...), nil
}

// ParseRequest reads a request that takes up all of src. Whether the object
// has what is asked for is Spec.Allows.
func ParseRequest(src []byte) (Request, error) {
	if len(src) > MaxRequest {
		return Request{}, fmt.Errorf("parse request: %w: %d bytes, at most %d", ErrFormat, len(src), MaxRequest)
	}
	var r Request
	if err := decoder.Unmarshal(src, &r); err != nil {
		return Request{}, fmt.Errorf("parse request: %w: %w", ErrFormat, err)
	}
	again, err := AppendRequest(nil, r)
	if err != nil {
		return Request{}, fmt.Errorf("parse request: %w", err)
	}
	if !bytes.Equal(again, src) {
		return Request{}, fmt.Errorf("parse request: %w: not the one encoding of it", ErrFormat)
	}
	return r, nil
}

func (r Request) check() error {
	n := len(r.Wanted)
	switch {
	case r.Kind > PageList:
		return fmt.Errorf("%w: %s is not known", ErrFormat, r.Kind)
	case n == 0 || 8*n > MaxSpan:
		return fmt.Errorf("%w: bitmap of %d bytes, want 1 to %d", ErrFormat, n, MaxSpan/8)
	case !r.Wanted.Has(0):
		return fmt.Errorf("%w: first index is not wanted", ErrFormat)
	case r.Wanted[n-1] == 0:
		return fmt.Errorf("%w: bitmap ends with an empty byte", ErrFormat)
	case r.Wanted.Count() > MaxIndices:
		return fmt.Errorf("%w: %d indices, at most %d", ErrFormat, r.Wanted.Count(), MaxIndices)
	case r.First >= MaxChunks:
		return fmt.Errorf("%w: first index %d", ErrFormat, r.First)
	}
	return nil
}

// Allows refuses a request for what the object does not have, or for more
// than MaxAnswered bytes at once.
func (s Spec) Allows(r Request) error {
	if err := r.check(); err != nil {
		return err
	}
	all := r.Indices()
	if last := all[len(all)-1]; last >= s.Count(r.Kind) {
		return fmt.Errorf("%w: %s %d of %d", ErrFormat, r.Kind, last, s.Count(r.Kind))
	}
	if len(all) > s.AtOnce(r.Kind) {
		return fmt.Errorf("%w: %d times a %s, at most %d", ErrFormat, len(all), r.Kind, s.AtOnce(r.Kind))
	}
	return nil
}

// AtOnce is how many pieces one request may ask for.
func (s Spec) AtOnce(k Kind) int {
	if k != Data {
		return MaxIndices
	}
	return min(MaxIndices, MaxAnswered>>s.Chunk)
}

// Count is how many pieces of a kind there are.
func (s Spec) Count(k Kind) int {
	switch k {
	case Data:
		return s.Chunks()
	case LeafPage:
		return s.Pages()
	}
	return 1
}

// Length is how many bytes piece i of a kind has on the wire, without the
// header.
func (s Spec) Length(k Kind, i int) int {
	switch k {
	case Data:
		return s.ChunkSize(i) + Overhead
	case LeafPage:
		return s.Leaves(i) * len(Hash{})
	}
	return s.Pages() * len(Hash{})
}
