package securemsg

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// Limits of what the codec takes at all; each message has its own below them.
const (
	maxNesting = 4    // message, map or list, list, value
	maxPairs   = 1024 // of one map
	maxArray   = 4096 // elements of one list
)

// A Kind is the first byte of a message, a CBOR unsigned integer below 24.
// A message of one kind can never be read as another.
type Kind uint8

// The kinds. Those of handshakes and of enrolment never travel inside DATA.
const (
	KindCheckIn    Kind = 1
	KindAssignment Kind = 2
	KindProgress   Kind = 3
	KindCancel     Kind = 4
	KindDescribe   Kind = 5
	KindLog        Kind = 6
	KindTime       Kind = 7
	KindAck        Kind = 8
	KindKeys       Kind = 9

	KindHello    Kind = 16
	KindWelcome  Kind = 17
	KindRequest  Kind = 18
	KindAnswer   Kind = 19
	KindUnsigned Kind = 20 // only inside what an enrolment's signature covers
)

// Both modes are RFC 8949 §4.2.1, core deterministic encoding. Nothing here
// depends on outside values, so a mode that cannot be made is a bug.
var (
	encoder = must(cbor.EncOptions{
		Sort: cbor.SortCoreDeterministic, ShortestFloat: cbor.ShortestFloat16,
		NaNConvert: cbor.NaNConvertReject, InfConvert: cbor.InfConvertReject,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		NilContainers: cbor.NilContainerAsEmpty,
	}.EncMode())
	decoder = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		NaN:               cbor.NaNDecodeForbidden, Inf: cbor.InfDecodeForbidden,
		MaxNestedLevels: maxNesting, MaxArrayElements: maxArray, MaxMapPairs: maxPairs,
	}.DecMode())
)

func must[M any](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}

// A payload is what a kind's map holds. check refuses what is too long, or
// says what the kind cannot say.
type payload interface {
	kind() Kind
	limit() int // bytes of the whole message
	check() error
}

// encode appends the message that carries p.
func encode(dst []byte, p payload) ([]byte, error) {
	body, err := marshal(p)
	if err != nil {
		return dst, fmt.Errorf("encode %s: %w: %w", p.kind(), ErrMessage, err)
	}
	return append(append(dst, byte(p.kind())), body...), nil
}

// marshal returns the map of p, if p may be said at all.
func marshal(p payload) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	body, err := encoder.Marshal(p)
	if n := 1 + len(body); err == nil && n > p.limit() {
		err = fmt.Errorf("%d bytes, at most %d", n, p.limit())
	}
	return body, err
}

// decode reads a message that takes up all of src.
func decode[P payload](src []byte) (P, error) {
	var p, none P
	switch {
	case len(src) > p.limit():
		return none, fmt.Errorf("parse %s: %w: %d bytes, at most %d", p.kind(), ErrMessage, len(src), p.limit())
	case len(src) == 0 || Kind(src[0]) != p.kind():
		return none, fmt.Errorf("parse %s: %w", p.kind(), ErrKind)
	}
	if err := decoder.Unmarshal(src[1:], &p); err != nil {
		return none, fmt.Errorf("parse %s: %w: %w", p.kind(), ErrMessage, err)
	}
	again, err := marshal(p)
	if err != nil {
		return none, fmt.Errorf("parse %s: %w: %w", p.kind(), ErrMessage, err)
	}
	if !bytes.Equal(again, src[1:]) {
		return none, fmt.Errorf("parse %s: %w: not the one encoding of it", p.kind(), ErrMessage)
	}
	return p, nil
}

// checkText refuses text that is too long, too short, or not UTF-8.
func checkText(name, s string, low, high int) error {
	if len(s) < low || len(s) > high {
		return fmt.Errorf("%s of %d bytes, want %d to %d", name, len(s), low, high)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%s is not UTF-8", name)
	}
	return nil
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var kindNames = map[Kind]string{
	KindCheckIn: "check-in", KindAssignment: "assignment", KindProgress: "progress", KindCancel: "cancel",
	KindDescribe: "describe", KindLog: "log", KindTime: "time", KindAck: "ack", KindKeys: "keys",
	KindHello: "hello", KindWelcome: "welcome", KindRequest: "enrolment request", KindAnswer: "enrolment answer",
	KindUnsigned: "unsigned enrolment request",
}

// String is the kind's name.
func (k Kind) String() string {
	if name := kindNames[k]; name != "" {
		return name
	}
	return fmt.Sprintf("kind %d", uint8(k))
}
