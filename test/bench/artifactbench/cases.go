package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/moult-ota/moult/artifact"
)

// A comparison does one thing in two ways. ours may take target times as
// long as theirs.
type comparison struct {
	name         string
	ours, theirs func() error
	target       float64
}

func cases(image, dir string) []comparison {
	in := func(name string) string { return filepath.Join(dir, name) }
	return []comparison{
		{"write none", ourWrite(image, in("ours.none"), artifact.None), theirWrite(image, in("theirs.none"), "none"), 1},
		{"write gzip", ourWrite(image, in("ours.gzip"), artifact.Gzip), theirWrite(image, in("theirs.gzip"), "gzip"), 1},
		{"write zstd : gzip", ourWrite(image, in("ours.zstd"), artifact.Zstd), theirWrite(image, in("theirs.gzip"), "gzip"), 0.5},
		{"validate none", ourVerify(in("ours.none")), their("validate", in("theirs.none")), 1},
		{"validate gzip", ourVerify(in("theirs.gzip")), their("validate", in("theirs.gzip")), 1},
		{"validate zstd : gzip", ourVerify(in("ours.zstd")), their("validate", in("theirs.gzip")), 1},
		{"read none", ourRead(in("ours.none")), their("read", in("theirs.none")), 1},
		{"read gzip", ourRead(in("theirs.gzip")), their("read", in("theirs.gzip")), 1},
		{"validate none : hash", ourVerify(in("ours.none")), hash(image), 1.1},
	}
}

func ourWrite(image, path string, c artifact.Compression) func() error {
	return func() error {
		stat, err := os.Stat(image)
		if err != nil {
			return err
		}
		software := artifact.Software{Version: "bench"}
		return create(path, func(w io.Writer) error {
			return artifact.Write(w, artifact.Spec{
				Name: "bench", DeviceTypes: []string{"bench"}, PayloadType: "rootfs-image",
				Files: []artifact.Source{{Name: "rootfs.ext4", Size: stat.Size(),
					Open: func() (io.ReadCloser, error) { return os.Open(image) }}},
				Provides: software.Provides(), Clears: software.Clears(), ChecksumKey: "rootfs-image.checksum",
				Compression: c, TempDir: filepath.Dir(path),
			})
		})
	}
}

func create(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = write(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

func ourVerify(path string) func() error {
	return func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = artifact.Verify(f, artifact.ReaderOptions{AllowUnsigned: true, ReadAhead: true})
		return err
	}
}

// ourRead takes the content of every file, as an installer does.
func ourRead(path string) func() error {
	return func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		r, err := artifact.NewReader(f, artifact.ReaderOptions{AllowUnsigned: true, ReadAhead: true})
		if err != nil {
			return err
		}
		defer r.Close()
		for {
			file, err := r.Next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := drain(file); err != nil {
				return err
			}
		}
	}
}

func hash(path string) func() error {
	return func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.CopyBuffer(struct{ io.Writer }{sha256.New()}, struct{ io.Reader }{f}, make([]byte, 256<<10))
		return err
	}
}

// drain reads in pieces as large as an installer writes.
func drain(r io.Reader) error {
	for piece := make([]byte, 256<<10); ; {
		switch _, err := r.Read(piece); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

func theirWrite(image, path, compression string) func() error {
	return their("write", "rootfs-image", "--no-progress", "-n", "bench", "-t", "bench", "-f", image, "-o", path, "--compression", compression)
}

func their(args ...string) func() error {
	return func() error {
		out, err := exec.Command("mender-artifact", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("mender-artifact %q (package mender-artifact): %w: %s", args, err, out)
		}
		return nil
	}
}
