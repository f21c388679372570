package packager

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/moult-ota/moult/internal/wire/object"
)

// A record is the note of an object; it stands on the shelf as
// <artifact>.object.
//
//	 0  4 magic "MOB1"
//	 4 12 nonce, drawn anew
//	16 48 AES-256-GCM(server key, nonce, aad = "moult record" 00 | rest, content key)
//	64    rest: JSON, what is no secret
const (
	recordMagic  = "MOB1"
	recordFixed  = 64
	recordSuffix = ".object"
)

// kept is an object and the sums of its two blobs.
type kept struct {
	Object
	sealed, tree string
}

// public is the rest of a record.
type public struct {
	Artifact string `json:"artifact"`
	Root     string `json:"root"`
	Nonce0   string `json:"nonce0"`
	Check    string `json:"check"`
	Chunk    uint8  `json:"chunk"`
	Size     int64  `json:"size"`
	Sealed   string `json:"sealed"` // blob of the ciphertext
	Tree     string `json:"tree"`   // blob of leaves and page list
}

func recordName(artifact string) string { return artifact + recordSuffix }

func isRecord(name string) (artifact string, ok bool) { return strings.CutSuffix(name, recordSuffix) }

// seal writes a record.
func (s ServerKey) seal(k kept, chance io.Reader) ([]byte, error) {
	rest, err := json.Marshal(public{k.Artifact, hex.EncodeToString(k.Spec.Root[:]), hex.EncodeToString(k.Spec.Nonce0[:]),
		hex.EncodeToString(k.Spec.Check[:]), k.Spec.Chunk, k.Spec.Size, k.sealed, k.tree})
	if err != nil {
		return nil, err
	}
	aead, err := s.aead()
	if err != nil {
		return nil, err
	}
	note := append([]byte(recordMagic), make([]byte, aead.NonceSize())...)
	nonce := note[len(recordMagic):]
	if _, err := io.ReadFull(chance, nonce); err != nil {
		return nil, fmt.Errorf("seal content key: %w", err)
	}
	return append(aead.Seal(note, nonce, k.Key[:], recordAAD(rest)), rest...), nil
}

// open reads a record that was sealed with this key.
func (s ServerKey) open(artifact string, note []byte) (k kept, err error) {
	if len(note) < recordFixed || string(note[:4]) != recordMagic {
		return k, fmt.Errorf("record of object of %.64s is damaged; remove %s, and it is made anew", artifact, recordName(artifact))
	}
	aead, err := s.aead()
	if err != nil {
		return k, err
	}
	rest := note[recordFixed:]
	key, err := aead.Open(nil, note[4:16], note[16:recordFixed], recordAAD(rest))
	if err != nil {
		return k, fmt.Errorf("record of object of %.64s does not open: it is damaged, or the server key is another; put the key file back, or remove %s, and the object is made anew", artifact, recordName(artifact))
	}
	var p public
	if err := json.Unmarshal(rest, &p); err != nil {
		return k, fmt.Errorf("record of object of %.64s: %w", artifact, err)
	}
	k = kept{Object{p.Artifact, object.Spec{Chunk: p.Chunk, Size: p.Size}, object.Key(key)}, p.Sealed, p.Tree}
	if err := unhex(p, &k.Spec); err != nil {
		return k, fmt.Errorf("record of object of %.64s: %w", artifact, err)
	}
	if p.Artifact != artifact || k.Key.Check(k.Spec.Nonce0) != k.Spec.Check {
		return k, fmt.Errorf("record of object of %.64s is of %.64s", artifact, p.Artifact)
	}
	return k, k.Spec.Valid()
}

func unhex(p public, s *object.Spec) error {
	for _, f := range []struct {
		to   []byte
		text string
	}{{s.Root[:], p.Root}, {s.Nonce0[:], p.Nonce0}, {s.Check[:], p.Check}} {
		raw, err := hex.DecodeString(f.text)
		if err != nil || len(raw) != len(f.to) {
			return fmt.Errorf("%.80q is not %d bytes of hex", f.text, len(f.to))
		}
		copy(f.to, raw)
	}
	return nil
}

func recordAAD(rest []byte) []byte { return append([]byte("moult record\x00"), rest...) }

func (s ServerKey) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(s[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
