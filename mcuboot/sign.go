package mcuboot

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A Spec says what an image is made of. Payload, Version and Key are needed.
type Spec struct {
	Payload     []byte // without a header
	Version     Version
	Key         crypto.Signer // ECDSA P-256, Ed25519, RSA-2048 or RSA-3072
	HeaderSize  int           // in bytes; 0 means HeaderSize. Zephyr's CONFIG_ROM_START_OFFSET
	LoadAddress uint32        // with FlagRAMLoad or FlagROMFixed
	Flags       uint32        // but not those of encryption

	Counter      *uint32 // security counter; nil: none
	Dependencies []Dependency
	VendorID     []byte // 16 bytes; nil: none
	ClassID      []byte // 16 bytes; nil: none
	Custom       []TLV  // of vendors, types 0x00a0 to 0xfffe, in the protected area
	Erased       byte   // fills the header; 0 means 0xff, as erased flash
	ZeroHeader   bool   // fill it with 0 instead, as imgtool does with a header that was left blank

	EncryptFor *PublicKey // the device's key: P-256, X25519 or RSA-2048; nil: not encrypted
	AES256     bool       // with EncryptFor: a content key of 256 bits
}

// Sign makes an image, and encrypts it when that is asked for. random is used
// for keys and signatures.
func Sign(random io.Reader, s Spec) ([]byte, error) {
	h, protected, err := s.header()
	if err != nil {
		return nil, fmt.Errorf("sign image: %w", err)
	}
	pub, err := NewPublicKey(s.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("sign image: %w", err)
	}
	payload := s.Payload
	if s.EncryptFor != nil { // to whole blocks, before it is hashed
		const block = 16
		payload = append(bytes.Clone(payload), make([]byte, -(len(payload)+int(h.Size))&(block-1))...)
		h.PayloadSize = uint32(len(payload))
	}
	out := AppendHeader(nil, h)
	fill := s.Erased
	switch {
	case s.ZeroHeader:
		fill = 0
	case fill == 0:
		fill = 0xff
	}
	out = append(out, bytes.Repeat([]byte{fill}, int(h.Size)-len(out))...)
	out = append(out, payload...)
	if len(protected) > 0 {
		out = appendArea(out, magicProtected, protected)
	}
	sum := digests[0].sum(out)
	sig, err := signature(random, s.Key, sum)
	if err != nil {
		return nil, fmt.Errorf("sign image: %w", err)
	}
	tlvs := []TLV{{TypeSHA256, sum}, {TypeKeyHash, pub.Hash()}, sig}
	if s.EncryptFor != nil {
		t, err := encrypt(random, *s.EncryptFor, h.contentKey(), out[h.Size:int(h.Size)+len(payload)])
		if err != nil {
			return nil, fmt.Errorf("encrypt image: %w", err)
		}
		tlvs = append(tlvs, t)
	}
	return appendArea(out, magicUnprotected, tlvs), nil
}

func (s Spec) header() (h Header, protected []TLV, err error) {
	if len(s.Payload) == 0 || s.Key == nil {
		return h, nil, errors.New("a payload and a key are needed")
	}
	size := s.HeaderSize
	if size == 0 {
		size = HeaderSize
	}
	if size < HeaderSize || size > 0xffff {
		return h, nil, fmt.Errorf("header of %d bytes, want %d to 65535", size, HeaderSize)
	}
	flags := s.Flags
	if flags&(FlagAES128|FlagAES256) != 0 {
		return h, nil, errors.New("flags of encryption are set by EncryptFor")
	}
	switch {
	case s.EncryptFor != nil && s.AES256:
		flags |= FlagAES256
	case s.EncryptFor != nil:
		flags |= FlagAES128
	}
	if protected, err = s.protected(); err != nil {
		return h, nil, err
	}
	h = Header{LoadAddress: s.LoadAddress, Size: uint16(size), PayloadSize: uint32(min(len(s.Payload), MaxImage+1)), Flags: flags, Version: s.Version}
	if len(protected) > 0 {
		n := areaSize(protected)
		if n > 0xffff {
			return h, nil, fmt.Errorf("protected TLVs of %d bytes, at most 65535", n)
		}
		h.ProtectedSize = uint16(n)
	}
	return h, protected, h.check()
}

// protected are the TLVs that are hashed, in the order in which imgtool has
// them.
func (s Spec) protected() (all []TLV, err error) {
	if s.Counter != nil {
		all = append(all, TLV{TypeCounter, binary.LittleEndian.AppendUint32(nil, *s.Counter)})
	}
	for _, d := range s.Dependencies {
		all = append(all, d.tlv())
	}
	for _, id := range []struct {
		typ   Type
		value []byte
	}{{TypeVendorID, s.VendorID}, {TypeClassID, s.ClassID}} {
		if id.value == nil {
			continue
		}
		if len(id.value) != 16 {
			return nil, fmt.Errorf("%v of %d bytes, want 16", id.typ, len(id.value))
		}
		all = append(all, TLV{id.typ, id.value})
	}
	for _, t := range s.Custom {
		if t.Type < 0xa0 || t.Type == 0xffff || len(t.Value) > 0xffff {
			return nil, fmt.Errorf("custom TLV %#04x of %d bytes: want a type from 0x00a0 to 0xfffe", uint16(t.Type), len(t.Value))
		}
		all = append(all, t)
	}
	return all, nil
}

// signature signs an image's hash as MCUboot wants it for each kind of key.
func signature(random io.Reader, key crypto.Signer, sum []byte) (TLV, error) {
	switch k := key.Public().(type) {
	case *ecdsa.PublicKey:
		sig, err := key.Sign(random, sum, crypto.SHA256)
		return TLV{TypeECDSA, sig}, err
	case ed25519.PublicKey: // the hash is the message
		sig, err := key.Sign(random, sum, crypto.Hash(0))
		return TLV{TypeEd25519, sig}, err
	case *rsa.PublicKey:
		sig, err := key.Sign(random, sum, &rsa.PSSOptions{SaltLength: saltSize, Hash: crypto.SHA256})
		return TLV{map[int]Type{2048: TypeRSA2048, 3072: TypeRSA3072}[k.N.BitLen()], sig}, err
	}
	return TLV{}, ErrKey
}
