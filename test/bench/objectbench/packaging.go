package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moult-ota/moult/internal/blob"
	"github.com/moult-ota/moult/internal/blob/disk"
	"github.com/moult-ota/moult/internal/packager"
	"github.com/moult-ota/moult/internal/wire/object"
)

var ctx = context.Background()

// A packaging is an artifact in memory, and a place for its objects.
type packaging struct {
	dir      string
	artifact []byte
	sum      string
}

func newPackaging(mib int, cache string) (*packaging, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(cache, "objectbench-")
	if err != nil {
		return nil, err
	}
	b := &packaging{dir: dir, artifact: make([]byte, mib<<20)}
	rand.Read(b.artifact)
	sum := sha256.Sum256(b.artifact)
	b.sum = hex.EncodeToString(sum[:])
	return b, nil
}

func (b *packaging) close() { os.RemoveAll(b.dir) }

func (b *packaging) size() int64 { return int64(len(b.artifact)) }

func (b *packaging) open() (*packager.Packager, error) {
	blobs, err := disk.Open(filepath.Join(b.dir, "blobs"))
	if err != nil {
		return nil, err
	}
	return b.over(blobs)
}

func (b *packaging) over(blobs blob.Store) (*packager.Packager, error) {
	return packager.Open(ctx, blobs, packager.Folder(filepath.Join(b.dir, "notes")), packager.ServerKey{1}, rand.Reader)
}

// make makes the object anew, down to the disk.
func (b *packaging) make() (float64, error) {
	p, err := b.open()
	if err != nil {
		return 0, err
	}
	if err := p.Remove(ctx, b.sum); err != nil {
		return 0, err
	}
	return perSecond(b.size(), func() error {
		_, err := p.Make(ctx, b.sum, b.size(), bytes.NewReader(b.artifact))
		return err
	})
}

// inMemory makes it without a disk under the blobs.
func (b *packaging) inMemory() (float64, error) {
	other := *b
	other.dir = filepath.Join(b.dir, "none")
	defer os.RemoveAll(other.dir)
	p, err := other.over(nowhere{})
	if err != nil {
		return 0, err
	}
	return perSecond(b.size(), func() error {
		_, err := p.Make(ctx, b.sum, b.size(), bytes.NewReader(b.artifact))
		return err
	})
}

// serve answers requests for every chunk of the object that make left.
func (b *packaging) serve() (float64, error) {
	p, err := b.open()
	if err != nil {
		return 0, err
	}
	o, err := p.Object(b.sum)
	if err != nil {
		return 0, err
	}
	r, err := p.Open(ctx, o.Spec.OID())
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return perSecond(b.size(), func() error {
		all := object.Bitmap(bytes.Repeat([]byte{255}, object.MaxIndices/8))
		for i := 0; i+object.MaxIndices <= o.Spec.Chunks(); i += object.MaxIndices {
			q := object.Request{Kind: object.Data, First: uint32(i), Wanted: all}
			if err := r.Answer(q, func([]byte) error { return nil }); err != nil {
				return err
			}
		}
		return nil
	})
}

// write is what the disk does with the same bytes.
func (b *packaging) write() (float64, error) {
	path := filepath.Join(b.dir, "plain")
	defer os.Remove(path)
	return perSecond(b.size(), func() error {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		for rest := b.artifact; len(rest) > 0 && err == nil; rest = rest[min(512<<10, len(rest)):] {
			_, err = f.Write(rest[:min(512<<10, len(rest))])
		}
		return errors.Join(err, f.Sync(), f.Close())
	})
}

// nowhere hashes blobs and keeps none.
type nowhere struct{ blob.Store }

func (nowhere) Create(context.Context) (blob.Writer, error) { return &unkept{hash: sha256.New()}, nil }

type unkept struct {
	hash hash.Hash
	size int64
}

func (u *unkept) Write(p []byte) (int, error) { u.size += int64(len(p)); return u.hash.Write(p) }

func (u *unkept) Sum() string { return hex.EncodeToString(u.hash.Sum(nil)) }

func (u *unkept) Commit() (string, int64, error) { return u.Sum(), u.size, nil }

func (u *unkept) Close() error { return nil }

// opensslSpeed returns the speed of an algorithm over 4 KiB, on so many cores.
func opensslSpeed(algorithm, cores string) (float64, error) {
	out, err := exec.Command("openssl", "speed", "-mr", "-seconds", "1", "-bytes", "4096", "-multi", cores, "-evp", algorithm).Output()
	if err != nil {
		return 0, fmt.Errorf("openssl speed (package openssl): %w", err)
	}
	for line := range strings.Lines(string(out)) { // +F:22:AES-256-GCM:4272670440.00
		if fields := strings.Split(strings.TrimSpace(line), ":"); fields[0] == "+F" {
			return strconv.ParseFloat(fields[len(fields)-1], 64)
		}
	}
	return 0, fmt.Errorf("openssl speed %s says %.200q", algorithm, out)
}
