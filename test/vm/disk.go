package main

import (
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/moult-ota/moult/internal/sbl/gpt"
)

const mib = 1 << 20

// A disk is a file with the image of one.
type disk struct {
	path  string
	parts map[string]gpt.Partition
}

// newDisk makes a disk with a table of partitions, all blank.
func newDisk(path string, parts []part) (*disk, error) {
	d := &disk{path, map[string]gpt.Partition{}}
	var table []gpt.Partition
	end := int64(mib)
	for i, p := range parts {
		id := sha256.Sum256([]byte(p.name))
		g := gpt.Partition{Number: i + 1, Name: p.name, Start: end, Size: p.size * mib, ID: [16]byte(id[:16])}
		end += g.Size
		d.parts[p.name], table = g, append(table, g)
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("make disk: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(end + mib); err != nil {
		return nil, fmt.Errorf("make disk: %w", err)
	}
	return d, gpt.Write(f, end+mib, [16]byte{0xd1, 0x5c}, table)
}

// fill writes bytes at the start of a partition.
func (d *disk) fill(part string, p []byte) error { return d.write(p, d.parts[part].Start) }

func (d *disk) write(p []byte, off int64) error {
	f, err := os.OpenFile(d.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(p, off)
	return err
}
