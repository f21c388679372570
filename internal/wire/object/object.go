// Package object is one artifact as ciphertext that anybody may keep: chunks
// encrypted with one content key, and a tree of hashes over the ciphertext, by
// which a gateway or a cache checks every chunk without the key. FORMAT.md is
// its reference.
//
// It moves nothing and waits for nothing. A Verifier says what to ask for and
// takes answers in any order; when to ask again is the caller's.
package object

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// Limits of an object.
const (
	MinChunk     = 9  // a chunk is a power of two of plaintext bytes: 512 bytes
	DefaultChunk = 12 // 4 KiB
	MaxChunk     = 16 // 64 KiB
	MaxChunks    = 1 << 17
	PageLeaves   = 128                    // of a page; the last one may have fewer
	MaxPages     = MaxChunks / PageLeaves // 1024
	Overhead     = 16                     // bytes that encryption adds to a chunk
)

var (
	// ErrSpec is returned for an object that cannot be.
	ErrSpec = errors.New("not an object")
	// ErrKey is returned for a content key that is not the object's.
	ErrKey = errors.New("wrong content key")
	// ErrRefused is returned for bytes that are not part of the object.
	ErrRefused = errors.New("not part of the object")
)

// A Hash is a SHA-256.
type Hash [32]byte

// A Nonce names one run of encryption; it is drawn together with the key.
type Nonce [16]byte

// An OID names an object in topics: the first half of its root.
type OID [16]byte

// String is the OID in lower-case hex.
func (o OID) String() string { return hex.EncodeToString(o[:]) }

// ParseOID reads what String wrote.
func ParseOID(text string) (OID, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(OID{}) || hex.EncodeToString(raw) != text {
		return OID{}, fmt.Errorf("parse object id %.64q: want %d lower-case hex digits", text, 2*len(OID{}))
	}
	return OID(raw), nil
}

// A Spec is what a device learns inside its session, and all that is needed to
// check an object. It holds no secret.
type Spec struct {
	Root   Hash
	Nonce0 Nonce
	Chunk  uint8    // a chunk is 2^Chunk bytes of plaintext
	Size   int64    // bytes of plaintext, at least 1
	Check  [16]byte // key check, see Key.Check
}

// OID is the object's name.
func (s Spec) OID() OID { return OID(s.Root[:16]) }

// Valid refuses, with ErrSpec, sizes beyond the limits.
func (s Spec) Valid() error {
	switch {
	case s.Chunk < MinChunk || s.Chunk > MaxChunk:
		return fmt.Errorf("%w: chunks of 2^%d bytes, want 2^%d to 2^%d", ErrSpec, s.Chunk, MinChunk, MaxChunk)
	case s.Size < 1:
		return fmt.Errorf("%w: size %d", ErrSpec, s.Size)
	case (s.Size-1)>>s.Chunk >= MaxChunks:
		return fmt.Errorf("%w: %d bytes in chunks of 2^%d, at most %d chunks", ErrSpec, s.Size, s.Chunk, MaxChunks)
	}
	return nil
}

// ChunkFor returns the smallest chunk from DefaultChunk on in which size bytes
// fit, as a power of two.
func ChunkFor(size int64) (uint8, error) {
	for k := uint8(DefaultChunk); k <= MaxChunk; k++ {
		if (Spec{Chunk: k, Size: size}).Valid() == nil {
			return k, nil
		}
	}
	return 0, fmt.Errorf("%w: size %d, want 1 to %d", ErrSpec, size, int64(MaxChunks)<<MaxChunk)
}

// Chunks is how many chunks the object has.
func (s Spec) Chunks() int { return int((s.Size-1)>>s.Chunk) + 1 }

// Pages is how many leaf pages the object has.
func (s Spec) Pages() int { return (s.Chunks() + PageLeaves - 1) / PageLeaves }

// ChunkSize is the bytes of plaintext in chunk i; of ciphertext it has
// Overhead more.
func (s Spec) ChunkSize(i int) int {
	if i == s.Chunks()-1 {
		return int(s.Size - s.Offset(i))
	}
	return 1 << s.Chunk
}

// Offset is where the plaintext of chunk i starts.
func (s Spec) Offset(i int) int64 { return int64(i) << s.Chunk }

// SealedOffset is where chunk i starts when all ciphertext stands in a row.
func (s Spec) SealedOffset(i int) int64 { return int64(i) * (1<<s.Chunk + Overhead) }

// Leaves is how many leaves page j has.
func (s Spec) Leaves(j int) int { return min(PageLeaves, s.Chunks()-j*PageLeaves) }
