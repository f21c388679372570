package object

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Leaf is the hash of the ciphertext of chunk i.
//
//	SHA-256(00 | nonce0 | be32 i | be32 len | ct_i)
func Leaf(n Nonce, i int, sealed []byte) Hash {
	var head [25]byte
	copy(head[1:], n[:])
	binary.BigEndian.PutUint32(head[17:], uint32(i))
	binary.BigEndian.PutUint32(head[21:], uint32(len(sealed)))
	return sum(head[:], sealed)
}

// Page is the hash of leaf page j, whose leaves stand in a row.
//
//	SHA-256(01 | nonce0 | be32 j | leaves)
func Page(n Nonce, j int, leaves []byte) Hash {
	head := [21]byte{0: 1}
	copy(head[1:], n[:])
	binary.BigEndian.PutUint32(head[17:], uint32(j))
	return sum(head[:], leaves)
}

// Root is the hash of the page list, which is the hashes of all pages in a
// row; of s it needs Nonce0, Chunk and Size.
//
//	SHA-256(02 | nonce0 | be32 n | be32 chunk | be64 size | pages)
func Root(s Spec, list []byte) Hash {
	head := [33]byte{0: 2}
	copy(head[1:], s.Nonce0[:])
	binary.BigEndian.PutUint32(head[17:], uint32(s.Chunks()))
	binary.BigEndian.PutUint32(head[21:], 1<<s.Chunk)
	binary.BigEndian.PutUint64(head[25:], uint64(s.Size))
	return sum(head[:], list)
}

func sum(head, body []byte) (h Hash) {
	d := sha256.New()
	d.Write(head)
	d.Write(body)
	d.Sum(h[:0])
	return h
}

// ListPages returns the page list over leaves that stand in a row.
func ListPages(n Nonce, leaves []byte) (list []byte) {
	const page = PageLeaves * len(Hash{})
	for j := 0; j*page < len(leaves); j++ {
		h := Page(n, j, leaves[j*page:min(len(leaves), (j+1)*page)])
		list = append(list, h[:]...)
	}
	return list
}

// CheckPageList refuses, with ErrRefused, a page list that does not give the root.
func (s Spec) CheckPageList(list []byte) error {
	if len(list) != s.Pages()*len(Hash{}) || Root(s, list) != s.Root {
		return fmt.Errorf("page list: %w", ErrRefused)
	}
	return nil
}

// CheckPage refuses leaves that are not page j of a page list that was checked.
func (s Spec) CheckPage(list []byte, j int, leaves []byte) error {
	if j < 0 || j >= s.Pages() || len(leaves) != s.Leaves(j)*len(Hash{}) || Page(s.Nonce0, j, leaves) != hashAt(list, j) {
		return fmt.Errorf("leaf page %d: %w", j, ErrRefused)
	}
	return nil
}

// CheckChunk refuses ciphertext that is not chunk i; leaves are its page,
// which was checked.
func (s Spec) CheckChunk(leaves []byte, i int, sealed []byte) error {
	if i < 0 || i >= s.Chunks() || len(sealed) != s.ChunkSize(i)+Overhead || Leaf(s.Nonce0, i, sealed) != hashAt(leaves, i%PageLeaves) {
		return fmt.Errorf("chunk %d: %w", i, ErrRefused)
	}
	return nil
}

func hashAt(row []byte, i int) Hash { return Hash(row[i*len(Hash{}) : (i+1)*len(Hash{})]) }
