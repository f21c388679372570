package gpt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"
)

// linux is the partition type "Linux file system",
// 0FC63DAF-8483-4772-8E79-3D69D8477DE4.
var linux = [16]byte{0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4}

// Write gives a disk of size bytes a table of parts, at its start and at its
// end, and the old kind of table in sector 0 that keeps other programs away.
// Starts and sizes are whole sectors between the two tables.
func Write(disk io.WriterAt, size int64, id [16]byte, parts []Partition) error {
	table := make([]byte, tableSize)
	for _, p := range parts {
		if err := put(table, size, p); err != nil {
			return fmt.Errorf("write partition table: %w", err)
		}
	}
	last := size/sector - 1
	pieces := []struct {
		off int64
		p   []byte
	}{
		{0, protective(last)},
		{sector, header(table, id, 1, last, 2, last)},
		{2 * sector, table},
		{(last - entries/4) * sector, table},
		{last * sector, header(table, id, last, 1, last-entries/4, last)},
	}
	for _, x := range pieces {
		if _, err := disk.WriteAt(x.p, x.off); err != nil {
			return fmt.Errorf("write partition table: %w", err)
		}
	}
	return nil
}

// put writes p's entry into the table.
func put(table []byte, size int64, p Partition) error {
	units := utf16.Encode([]rune(p.Name))
	switch {
	case p.Number < 1 || p.Number > entries || len(units) > nameUnits:
		return fmt.Errorf("partition %d %q: %w", p.Number, p.Name, ErrTable)
	case p.Start < Before || p.Size <= 0 || p.Start+p.Size > size-Before || (p.Start|p.Size)%sector != 0:
		return fmt.Errorf("partition %q at %d, %d bytes: %w", p.Name, p.Start, p.Size, ErrTable)
	}
	e := table[(p.Number-1)*entrySize:][:entrySize]
	copy(e, linux[:])
	copy(e[16:], p.ID[:])
	binary.LittleEndian.PutUint64(e[32:], uint64(p.Start/sector))
	binary.LittleEndian.PutUint64(e[40:], uint64((p.Start+p.Size)/sector-1))
	for i, u := range units {
		binary.LittleEndian.PutUint16(e[56+2*i:], u)
	}
	return nil
}

// header is the sector at here whose copy is at there and whose table is at at;
// all in sectors.
func header(table []byte, id [16]byte, here, there, at, last int64) []byte {
	h := make([]byte, sector)
	copy(h, "EFI PART\x00\x00\x01\x00")
	binary.LittleEndian.PutUint32(h[12:], headerSize)
	for i, v := range []int64{here, there, 2 + entries/4, last - entries/4 - 1} {
		binary.LittleEndian.PutUint64(h[24+8*i:], uint64(v))
	}
	copy(h[56:], id[:])
	binary.LittleEndian.PutUint64(h[72:], uint64(at))
	binary.LittleEndian.PutUint32(h[80:], entries)
	binary.LittleEndian.PutUint32(h[84:], entrySize)
	binary.LittleEndian.PutUint32(h[88:], crc32.ChecksumIEEE(table))
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h[:headerSize]))
	return h
}

// protective is an MBR with one partition of type 0xee over all the disk.
func protective(last int64) []byte {
	p := make([]byte, sector)
	copy(p[446:], []byte{0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0})
	binary.LittleEndian.PutUint32(p[458:], uint32(min(last, 1<<32-1)))
	p[510], p[511] = 0x55, 0xaa
	return p
}
