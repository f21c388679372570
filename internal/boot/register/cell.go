package register

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/slot"
)

// CellSize is the length of a record in bytes. On a Flash with a larger
// program unit a record takes a whole unit, filled up with 0xff.
const CellSize = 64

const (
	magic  = "SBR1"
	format = 1
)

// ErrCell means that the bytes are no record.
var ErrCell = errors.New("not a register record")

// A Record is one state of the register, as a cell holds it.
type Record struct {
	Vars       boot.Vars
	Generation uint32 // counts sector changes
	First      uint16 // cell where this record's pair begins, from 0
}

// AppendRecord appends the CellSize bytes of r to dst.
//
//	 0 4 magic "SBR1"       16 4 generation
//	 4 1 format, 1          20 2 first cell of the pair
//	 5 1 current slot       22 2 reserved, 0
//	 6 1 trial slot         24 16 slot A    0 1 state
//	 7 1 tries left         40 16 slot B    1 1 reason
//	 8 4 floor              56 4 reserved   2 2 reserved, 0
//	12 4 deployment         60 4 CRC-32     4 4 security version
//	                                        8 8 first bytes of the SHA-256
func AppendRecord(dst []byte, r Record) []byte {
	start := len(dst)
	v := r.Vars
	dst = append(dst, magic...)
	dst = append(dst, format, byte(v.Current), byte(v.Trial), v.Tries)
	dst = binary.LittleEndian.AppendUint32(dst, v.Floor)
	dst = binary.LittleEndian.AppendUint32(dst, v.Deployment)
	dst = binary.LittleEndian.AppendUint32(dst, r.Generation)
	dst = binary.LittleEndian.AppendUint16(dst, r.First)
	dst = append(dst, 0, 0)
	for _, s := range v.Slots {
		dst = append(dst, byte(s.State), byte(s.Reason), 0, 0)
		dst = binary.LittleEndian.AppendUint32(dst, s.Image.Security)
		dst = append(dst, s.Image.Digest[:]...)
	}
	dst = append(dst, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[start:]))
}

// ParseRecord reads the record at the start of src and returns what follows.
// Everything that AppendRecord would not have written is ErrCell.
func ParseRecord(src []byte) (r Record, rest []byte, err error) {
	if len(src) < CellSize {
		return r, src, fmt.Errorf("parse record: %d bytes, want %d: %w", len(src), CellSize, ErrCell)
	}
	p, rest := src[:CellSize], src[CellSize:]
	if string(p[:4]) != magic || p[4] != format || crc32.ChecksumIEEE(p[:60]) != binary.LittleEndian.Uint32(p[60:]) {
		return r, src, fmt.Errorf("parse record: magic, format or checksum: %w", ErrCell)
	}
	v := boot.Vars{
		Current: slot.Slot(p[5]), Trial: slot.Slot(p[6]), Tries: p[7],
		Floor:      binary.LittleEndian.Uint32(p[8:]),
		Deployment: binary.LittleEndian.Uint32(p[12:]),
		Slots:      [2]boot.SlotVars{parseSlot(p[24:40]), parseSlot(p[40:56])},
	}
	r = Record{v, binary.LittleEndian.Uint32(p[16:]), binary.LittleEndian.Uint16(p[20:])}
	var room [CellSize]byte
	if again := AppendRecord(room[:0], r); !sound(v) || !bytes.Equal(again, p) {
		return Record{}, src, fmt.Errorf("parse record: fields: %w", ErrCell)
	}
	return r, rest, nil
}

func parseSlot(p []byte) boot.SlotVars {
	return boot.SlotVars{
		State:  boot.State(p[0]),
		Reason: boot.Reason(p[1]),
		Image:  boot.Image{Security: binary.LittleEndian.Uint32(p[4:]), Digest: boot.Digest(p[8:16])},
	}
}

// sound reports whether v names slots and states that exist. Reasons may be
// newer than this reader.
func sound(v boot.Vars) bool {
	ok := v.Current <= slot.B && v.Trial <= slot.B
	return ok && v.Slots[0].State <= boot.Failed && v.Slots[1].State <= boot.Failed
}
