package systemdboot

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/variables"
)

// recordSize is the length of a record's file in bytes: what a disk writes as
// a whole.
const recordSize = 512

// ErrRecord means that a file is not a record, or not a whole one.
var ErrRecord = errors.New("not a record of boot variables")

// A Record is one of two copies of the variables.
type Record struct {
	Generation uint32
	Vars       boot.Vars
}

// AppendRecord appends r as recordSize bytes.
//
//	moult 7 1,A,B,3,4,4660,confirmed.0.4.0102030405060708,valid.0.5.0807060504030201 1a2b3c4d\n
//	      │ │ variables, as package variables writes them                           │
//	      └ generation                       CRC-32 of all before it, in hexadecimal ┘
//
// and then newlines.
func AppendRecord(dst []byte, r Record) []byte {
	line := fmt.Appendf(nil, "moult %d %s ", r.Generation, variables.AppendVars(nil, r.Vars))
	line = fmt.Appendf(line, "%08x", crc32.ChecksumIEEE(line))
	return append(append(dst, line...), bytes.Repeat([]byte("\n"), recordSize-len(line))...)
}

// ParseRecord reads what AppendRecord wrote. Everything else is ErrRecord.
func ParseRecord(p []byte) (Record, error) {
	f := strings.Fields(string(p[:min(len(p), recordSize)]))
	var r Record
	if len(f) != 4 || !number(f[1], &r.Generation) {
		return Record{}, ErrRecord
	}
	v, err := variables.ParseVars(f[2])
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	r.Vars = v
	if !bytes.Equal(AppendRecord(nil, r), p) {
		return Record{}, ErrRecord
	}
	return r, nil
}
