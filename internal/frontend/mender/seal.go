package mender

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"io"
	"sync"
)

// A seal marks texts, so that those it marked can be told from forged ones:
// HMAC-SHA-256 (RFC 2104) with a key of its own, drawn from a secret by HKDF.
type seal struct {
	macs sync.Pool
}

func newSeal(secret []byte, label string) *seal {
	key, err := hkdf.Key(sha256.New, secret, nil, "moult "+label+" v1", sha256.Size)
	if err != nil {
		panic("mender: derive key: " + err.Error()) // the length is fixed and fits
	}
	return &seal{sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// sealLength is the length of a mark: 32 bytes of MAC in base64url.
const sealLength = 43

// append appends the mark of text to dst.
func (s *seal) append(dst []byte, text string) []byte {
	mac := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	io.WriteString(mac, text)
	var sum [sha256.Size]byte
	return base64.RawURLEncoding.AppendEncode(dst, mac.Sum(sum[:0]))
}

// check reports whether mark is the mark of text, spelled as append does.
func (s *seal) check(text, mark string) bool {
	var want [sealLength]byte
	return subtle.ConstantTimeCompare(s.append(want[:0], text), []byte(mark)) == 1
}
