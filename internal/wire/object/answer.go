package object

import (
	"encoding/binary"
	"fmt"
)

// Limits of an answer.
const (
	AnswerHeader = 16 // bytes before those of the piece
	MaxAnswer    = AnswerHeader + 1<<MaxChunk + Overhead

	answerVersion = 1
)

// An Answer is one piece of an object, on its way.
type Answer struct {
	Kind  Kind
	Short [6]byte // first bytes of the OID
	Index uint32
	Bytes []byte // not checked yet
}

// Short is what answers name an object by.
func (o OID) Short() [6]byte { return [6]byte(o[:6]) }

// AppendAnswer appends a to dst.
//
//	 0 1 version 01
//	 1 1 kind
//	 2 6 oid[:6]
//	 8 4 index
//	12 4 length
//	16   bytes
func AppendAnswer(dst []byte, a Answer) ([]byte, error) {
	if err := a.check(); err != nil {
		return dst, fmt.Errorf("encode answer: %w", err)
	}
	dst = append(dst, answerVersion, byte(a.Kind))
	dst = append(dst, a.Short[:]...)
	dst = binary.BigEndian.AppendUint32(dst, a.Index)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(a.Bytes)))
	return append(dst, a.Bytes...), nil
}

// ParseAnswer reads an answer that takes up all of src. Bytes is a part of src;
// nothing is set aside for a length that src does not have.
func ParseAnswer(src []byte) (Answer, error) {
	if len(src) < AnswerHeader || len(src) > MaxAnswer {
		return Answer{}, fmt.Errorf("parse answer: %w: %d bytes, want %d to %d", ErrFormat, len(src), AnswerHeader, MaxAnswer)
	}
	if src[0] != answerVersion {
		return Answer{}, fmt.Errorf("parse answer: %w: version %d", ErrFormat, src[0])
	}
	a := Answer{Kind(src[1]), [6]byte(src[2:8]), binary.BigEndian.Uint32(src[8:]), src[AnswerHeader:]}
	if n := binary.BigEndian.Uint32(src[12:]); int64(n) != int64(len(a.Bytes)) {
		return Answer{}, fmt.Errorf("parse answer: %w: length %d with %d bytes", ErrFormat, n, len(a.Bytes))
	}
	if err := a.check(); err != nil {
		return Answer{}, fmt.Errorf("parse answer: %w", err)
	}
	return a, nil
}

// check refuses what no object has.
func (a Answer) check() error {
	count, low, high := MaxChunks, Overhead+1, 1<<MaxChunk+Overhead
	switch a.Kind {
	case Data:
	case LeafPage:
		count, low, high = MaxPages, len(Hash{}), PageLeaves*len(Hash{})
	case PageList:
		count, low, high = 1, len(Hash{}), MaxPages*len(Hash{})
	default:
		return fmt.Errorf("%w: %s is not known", ErrFormat, a.Kind)
	}
	if int64(a.Index) >= int64(count) {
		return fmt.Errorf("%w: %s %d", ErrFormat, a.Kind, a.Index)
	}
	if n := len(a.Bytes); n < low || n > high {
		return fmt.Errorf("%w: %s of %d bytes, want %d to %d", ErrFormat, a.Kind, n, low, high)
	}
	return nil
}
