package boottest_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/boottest"
)

// These are registers as they are often built. They pass every test that cuts
// no power, and the suite must refuse both.

const naiveRoom = 512

// record is length, JSON, CRC-32, padded to whole units.
func record(v boot.Vars, number uint32) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	p := binary.LittleEndian.AppendUint32(nil, number)
	p = binary.LittleEndian.AppendUint16(p, uint16(len(text)))
	p = append(p, text...)
	p = binary.LittleEndian.AppendUint32(p, crc32.ChecksumIEEE(p))
	return append(p, bytes.Repeat([]byte{0xff}, (8-len(p)%8)%8)...)
}

func parse(p []byte) (v boot.Vars, number uint32, ok bool) {
	n := int(binary.LittleEndian.Uint16(p[4:])) + 6
	if n > len(p)-4 || crc32.ChecksumIEEE(p[:n]) != binary.LittleEndian.Uint32(p[n:]) {
		return v, 0, false
	}
	return v, binary.LittleEndian.Uint32(p), json.Unmarshal(p[6:n], &v) == nil
}

// oneRegister erases its only record and writes the new one.
type oneRegister struct{ f *boottest.NOR }

func (o oneRegister) Load() (boot.Vars, error) {
	p := make([]byte, naiveRoom)
	if _, err := o.f.ReadAt(p, 0); err != nil {
		return boot.Vars{}, err
	}
	v, _, _ := parse(p)
	return v, nil
}

func (o oneRegister) Save(v boot.Vars) error {
	if err := o.f.Erase(0); err != nil {
		return err
	}
	return o.f.Program(record(v, 0), 0)
}

// twoRecords keeps two records with sequence number and checksum, writes the
// older one, and believes the newer one that is valid.
type twoRecords struct{ f *boottest.NOR }

func (t twoRecords) Load() (boot.Vars, error) { v, _, _ := t.newest(); return v, nil }

func (t twoRecords) Save(v boot.Vars) error {
	_, at, number := t.newest()
	if err := t.f.Erase(1 - at); err != nil {
		return err
	}
	return t.f.Program(record(v, number+1), int64((1-at)*naiveRoom))
}

func (t twoRecords) newest() (v boot.Vars, at int, number uint32) {
	for i := range 2 {
		p := make([]byte, naiveRoom)
		if _, err := t.f.ReadAt(p, int64(i*naiveRoom)); err != nil {
			continue
		}
		if w, n, ok := parse(p); ok && n > number {
			v, at, number = w, i, n
		}
	}
	return v, at, number
}

// onDisk keeps two records in a file, a block each. Blocks of a disk are old,
// new or visibly torn after a cut, never unstable, and then this is enough.
type onDisk struct{ f *boottest.Disk }

func (o onDisk) Load() (boot.Vars, error) { v, _, _ := o.newest(); return v, nil }

func (o onDisk) Save(v boot.Vars) error {
	_, at, number := o.newest()
	if _, err := o.f.WriteAt(record(v, number+1), int64((1-at)*naiveRoom)); err != nil {
		return err
	}
	return o.f.Sync()
}

func (o onDisk) newest() (v boot.Vars, at int, number uint32) {
	for i := range 2 {
		p := make([]byte, naiveRoom)
		if _, err := o.f.ReadAt(p, int64(i*naiveRoom)); err != nil {
			continue
		}
		if w, n, ok := parse(p); ok && n > number {
			v, at, number = w, i, n
		}
	}
	return v, at, number
}
