package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// initrd packs the files of a folder as the kernel takes them: cpio, the
// format "newc", gzipped. Everything in it belongs to root.
func initrd(dir, path string) error {
	var all bytes.Buffer
	z, _ := gzip.NewWriterLevel(&all, gzip.BestSpeed)
	w := &cpio{w: z}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return w.add(dir, path, d)
	})
	if err != nil {
		return fmt.Errorf("pack initrd: %w", err)
	}
	w.entry("TRAILER!!!", 0, nil)
	if err := z.Close(); err != nil {
		return fmt.Errorf("pack initrd: %w", err)
	}
	return os.WriteFile(path, all.Bytes(), 0o644)
}

// A cpio writes entries; what it writes to is memory and does not fail.
type cpio struct {
	w     *gzip.Writer
	n     int // bytes written
	inode int
}

func (c *cpio) add(dir, path string, d fs.DirEntry) error {
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	switch d.Type() {
	case fs.ModeDir:
		c.entry(name, 0o040755, nil)
		return nil
	case fs.ModeSymlink:
		to, err := os.Readlink(path)
		c.entry(name, 0o120777, []byte(to))
		return err
	}
	text, err := os.ReadFile(path)
	c.entry(name, 0o100755, text)
	return err
}

func (c *cpio) entry(name string, mode int, p []byte) {
	c.inode++
	head := "070701"
	for _, v := range []int{c.inode, mode, 0, 0, 1, 0, len(p), 0, 0, 0, 0, len(name) + 1, 0} {
		head += fmt.Sprintf("%08x", v)
	}
	c.write([]byte(head + name + "\x00"))
	c.write(p)
}

// write writes p, and zeros up to a multiple of 4.
func (c *cpio) write(p []byte) {
	c.n += len(p)
	pad := -c.n & 3
	c.n += pad
	_, _ = c.w.Write(append(bytes.Clone(p), 0, 0, 0)[:len(p)+pad])
}
