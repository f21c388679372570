package session

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// A kk is Noise KK written down a second time, straight from chapters 5 and 7
// of the specification and with nothing but the standard library, so that the
// stored vectors of both suites do not rest on one implementation.
type kk struct {
	t     *testing.T
	ck, h []byte
	k     []byte
}

func (n *kk) mixHash(data []byte) {
	sum := sha256.Sum256(append(bytes.Clone(n.h), data...))
	n.h = sum[:]
}

func (n *kk) hkdf(secret []byte) (first, second []byte) {
	temp, err := hkdf.Extract(sha256.New, secret, n.ck)
	if err != nil {
		n.t.Fatal(err)
	}
	out, err := hkdf.Expand(sha256.New, temp, "", 64)
	if err != nil {
		n.t.Fatal(err)
	}
	return out[:32], out[32:]
}

func (n *kk) mixKey(private *ecdh.PrivateKey, public *ecdh.PublicKey) {
	secret, err := private.ECDH(public)
	if err != nil {
		n.t.Fatal(err)
	}
	n.ck, n.k = n.hkdf(secret)
}

func (n *kk) seal(payload []byte) []byte {
	sealed := gcm(n.t, n.k, 0, n.h, payload)
	n.mixHash(sealed)
	return sealed
}

func gcm(t *testing.T, key []byte, counter uint64, ad, message []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return a.Seal(nil, binary.BigEndian.AppendUint64(make([]byte, 4), counter), message, ad)
}

// TestVectorsAgainstTheSpecification computes HS1, HS2 and the first DATA of
// each end of the stored sessions from their secrets alone.
func TestVectorsAgainstTheSpecification(t *testing.T) {
	for suite, name := range map[securemsg.Suite]string{securemsg.X25519: "Noise_KK_25519_AESGCM_SHA256", securemsg.P256: "Noise_KK_P256_AESGCM_SHA256"} {
		text, err := os.ReadFile(vectorFile(suite))
		if err != nil {
			t.Fatal(err)
		}
		head := fieldsOf(strings.SplitN(string(text), "\n\n", 2)[0])
		for what, frame := range recompute(t, suite, name, head) {
			if !strings.Contains(string(text), "\nout: "+hex.EncodeToString(frame)+"\n") {
				t.Errorf("suite %d: %s %x is not in the vectors", suite, what, frame)
			}
		}
	}
}

func recompute(t *testing.T, suite securemsg.Suite, name string, head map[string]string) map[string][]byte {
	field := func(name string) []byte {
		b, err := hex.DecodeString(head[name])
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := func(scalar []byte) *ecdh.PrivateKey {
		curve, _ := curveOf(suite)
		k, err := curve.NewPrivateKey(scalar)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	random := field("device-random")
	id, nonce := random[:8], random[8:24]
	s, rs := key(field("device-secret")), key(field("server-secret"))
	e, re := key(random[24:]), key(field("server-random"))
	kid := sha256.Sum256(rs.PublicKey().Bytes())

	n := &kk{t: t, h: append([]byte(name), make([]byte, 32-len(name))...)}
	n.ck = n.h
	n.mixHash(bytes.Join([][]byte{[]byte("moult/1\x00"), field("suite"), field("device-id"), kid[:8], id}, nil))
	n.mixHash(s.PublicKey().Bytes())
	n.mixHash(rs.PublicKey().Bytes())

	n.mixHash(e.PublicKey().Bytes())
	n.mixKey(e, rs.PublicKey())
	n.mixKey(s, rs.PublicKey())
	hello := unhex(t, "10a3"+"011829"+"0265312e302e30"+"0350"+hex.EncodeToString(nonce)) // boot 41, agent 1.0.0
	first := append(e.PublicKey().Bytes(), n.seal(hello)...)

	n.mixHash(re.PublicKey().Bytes())
	n.mixKey(re, e.PublicKey())
	n.mixKey(re, s.PublicKey())
	welcome := unhex(t, "11a3"+"011a6b03aa69"+"0250"+hex.EncodeToString(nonce)+"03a3"+"01198000"+"0210"+"03190708") // 30 s later; 32 KiB, 16, 1800 s
	second := append(re.PublicKey().Bytes(), n.seal(welcome)...)

	up, down := n.hkdf(nil)
	frame := func(kind byte, parts ...[]byte) []byte {
		return bytes.Join(append([][]byte{{1, kind, byte(suite), 0}, id}, parts...), nil)
	}
	return map[string][]byte{
		"HS1":        frame(1, kid[:8], first),
		"HS2":        frame(2, second),
		"first up":   frame(3, make([]byte, 8), gcm(t, up, 0, nil, []byte("first"))),
		"second up":  frame(3, []byte{0, 0, 0, 0, 0, 0, 0, 1}, gcm(t, up, 1, nil, []byte("second"))),
		"first down": frame(3, make([]byte, 8), gcm(t, down, 0, nil, []byte("answer"))),
	}
}

func unhex(t *testing.T, text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
