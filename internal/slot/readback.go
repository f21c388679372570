package slot

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// castagnoli is what processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sums are what is known about an image that was read.
type sums struct {
	sha  hash.Hash
	crc  uint32 // tells accidents, not attacks
	size int64
}

func newSums() *sums { return &sums{sha: sha256.New()} }

func (s *sums) add(p []byte) {
	s.sha.Write(p)
	s.crc = crc32.Update(s.crc, castagnoli, p)
	s.size += int64(len(p))
}

func (s *sums) sha256() [32]byte { return [32]byte(s.sha.Sum(nil)) }

// A readAt reads like io.ReaderAt; off and len(p) are multiples of the page,
// so that it may be used past the page cache.
type readAt func(p []byte, off int64) (int, error)

// readAll sums the first length bytes.
func (r readAt) readAll(length int64) (*sums, error) {
	s := newSums()
	buf := Aligned(int(min(chunk, pages(length))))
	for s.size < length {
		p, err := r.piece(buf, s.size, length)
		if err != nil {
			return s, err
		}
		s.add(p)
	}
	return s, nil
}

// piece reads the bytes from off up to end, or as many of them as fit buf.
func (r readAt) piece(buf []byte, off, end int64) ([]byte, error) {
	want := min(int64(len(buf)), pages(end-off))
	n, err := r(buf[:want], off)
	if got := int64(n); got < want && off+got < end {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read image at %d: %w", off+got, err)
	}
	return buf[:min(int64(n), end-off)], nil
}

// pages is n rounded up to whole pages.
func pages(n int64) int64 { return (n + page - 1) &^ (page - 1) }
