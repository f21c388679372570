// Package gpt reads and writes the GUID partition table of a disk, as far as a
// loader needs it: names, places and identities of partitions on disks with
// sectors of 512 bytes. UEFI specification 2.10, chapter 5.
package gpt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"
)

// Limits and sizes, in bytes where nothing else is said.
const (
	sector     = 512
	headerSize = 92
	entrySize  = 128
	entries    = 128 // of a table; the usual number, and the most that is read
	nameUnits  = 36  // UTF-16 units of a name
	tableSize  = entries * entrySize
	// Before is what a table takes at the start of a disk, and after the end.
	Before = 2*sector + tableSize
)

// ErrTable means that a disk has no partition table that holds.
var ErrTable = errors.New("no sound partition table")

// A Partition is one piece of a disk.
type Partition struct {
	Number int    // from 1, as the kernel counts
	Name   string // what others call PARTLABEL
	ID     [16]byte
	Start  int64 // in bytes
	Size   int64
}

// PartUUID is the partition's identity as the kernel's root=PARTUUID= takes it.
func (p Partition) PartUUID() string {
	id := p.ID
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", binary.LittleEndian.Uint32(id[:4]), binary.LittleEndian.Uint16(id[4:6]),
		binary.LittleEndian.Uint16(id[6:8]), binary.BigEndian.Uint16(id[8:10]), id[10:])
}

// Read returns the partitions of a disk of size bytes: by its table at the
// start, or when that is damaged by the copy at the end.
func Read(disk io.ReaderAt, size int64) ([]Partition, error) {
	parts, err := readAt(disk, size, sector)
	if err == nil {
		return parts, nil
	}
	if again, e := readAt(disk, size, size-size%sector-sector); e == nil {
		return again, nil
	}
	return nil, fmt.Errorf("read partition table: %w", err)
}

// readAt reads the table whose header is at off.
func readAt(disk io.ReaderAt, size, off int64) ([]Partition, error) {
	h := make([]byte, sector)
	if _, err := disk.ReadAt(h, off); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(h[12:])
	if string(h[:8]) != "EFI PART" || length < headerSize || length > sector || !sound(h[:length], off) {
		return nil, ErrTable
	}
	n, unit := binary.LittleEndian.Uint32(h[80:]), binary.LittleEndian.Uint32(h[84:])
	if n > entries || unit != entrySize {
		return nil, fmt.Errorf("%d entries of %d bytes: %w", n, unit, ErrTable)
	}
	table := make([]byte, n*entrySize)
	if _, err := disk.ReadAt(table, int64(binary.LittleEndian.Uint64(h[72:]))*sector); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(table) != binary.LittleEndian.Uint32(h[88:]) {
		return nil, ErrTable
	}
	return parse(table, size)
}

// sound checks the header's own checksum and place.
func sound(h []byte, off int64) bool {
	h = bytes.Clone(h)
	sum := binary.LittleEndian.Uint32(h[16:])
	clear(h[16:20])
	return crc32.ChecksumIEEE(h) == sum && binary.LittleEndian.Uint64(h[24:]) == uint64(off/sector)
}

func parse(table []byte, size int64) ([]Partition, error) {
	var parts []Partition
	for i := 0; i*entrySize < len(table); i++ {
		e := table[i*entrySize:][:entrySize]
		if [16]byte(e[:16]) == [16]byte{} {
			continue
		}
		first, last := binary.LittleEndian.Uint64(e[32:]), binary.LittleEndian.Uint64(e[40:])
		if first > last || last >= uint64(size/sector) {
			return nil, fmt.Errorf("partition %d lies outside the disk: %w", i+1, ErrTable)
		}
		parts = append(parts, Partition{
			Number: i + 1, Name: name(e[56:]), ID: [16]byte(e[16:32]),
			Start: int64(first) * sector, Size: int64(last-first+1) * sector,
		})
	}
	return parts, nil
}

func name(p []byte) string {
	units := make([]uint16, 0, nameUnits)
	for i := range nameUnits {
		u := binary.LittleEndian.Uint16(p[2*i:])
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}
