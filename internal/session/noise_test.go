package session

import (
	"bytes"
	"crypto/ecdh"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// TestPublishedVectors runs both ends of the published vectors of suite 01
// through the seam.
func TestPublishedVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/kk-25519-aesgcm-sha256.txt")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "handshake=Noise_KK_25519_AESGCM_SHA256\n")[1:]
	if len(blocks) != 4 {
		t.Fatalf("%d vectors, want 4", len(blocks))
	}
	for _, block := range blocks {
		v := map[string][]byte{}
		for _, line := range strings.Fields(block) {
			name, value, _ := strings.Cut(line, "=")
			if v[name], err = hex.DecodeString(value); err != nil {
				t.Fatal(err)
			}
		}
		runVector(t, v)
	}
}

func runVector(t *testing.T, v map[string][]byte) {
	t.Helper()
	key := func(name string) *ecdh.PrivateKey {
		k, err := ecdh.X25519().NewPrivateKey(v[name])
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	is, rs := key("init_static"), key("resp_static")
	i, err := party{securemsg.X25519, true, is, key("gen_init_ephemeral"), rs.PublicKey(), v["prologue"]}.begin()
	if err != nil {
		t.Fatal(err)
	}
	r, err := party{securemsg.X25519, false, rs, key("gen_resp_ephemeral"), is.PublicKey(), v["prologue"]}.begin()
	if err != nil {
		t.Fatal(err)
	}
	want := func(name string, got []byte, err error) {
		t.Helper()
		if err != nil || !bytes.Equal(got, v[name]) {
			t.Errorf("%s = %x, %v, want %x", name, got, err, v[name])
		}
	}
	m0, _, _, err := i.WriteMessage(nil, v["msg_0_payload"])
	want("msg_0_ciphertext", m0, err)
	p0, _, _, err := r.ReadMessage(nil, m0)
	want("msg_0_payload", p0, err)
	m1, rIn, rOut, err := r.WriteMessage(nil, v["msg_1_payload"])
	want("msg_1_ciphertext", m1, err)
	p1, iOut, iIn, err := i.ReadMessage(nil, m1)
	want("msg_1_payload", p1, err)

	m2 := iOut.Cipher().Encrypt(nil, 0, nil, v["msg_2_payload"])
	want("msg_2_ciphertext", m2, nil)
	p2, err := rIn.Cipher().Decrypt(nil, 0, nil, m2)
	want("msg_2_payload", p2, err)
	m3 := rOut.Cipher().Encrypt(nil, 0, nil, v["msg_3_payload"])
	want("msg_3_ciphertext", m3, nil)
	p3, err := iIn.Cipher().Decrypt(nil, 0, nil, m3)
	want("msg_3_payload", p3, err)
}

// TestNewKeyOnP256 draws again when a draw is no scalar, and gives up on a
// source that is broken.
func TestNewKeyOnP256(t *testing.T) {
	ones, good := bytes.Repeat([]byte{0xff}, 32), bytes.Repeat([]byte{7}, 32)
	key, err := NewKey(securemsg.P256, bytes.NewReader(append(bytes.Clone(ones), good...)))
	if err != nil || !bytes.Equal(key.Bytes(), good) {
		t.Errorf("NewKey = %v, want the second draw", err)
	}
	for name, random := range map[string][]byte{"zeros": make([]byte, 1024), "ones": bytes.Repeat(ones, 32), "short": good[1:]} {
		if key, err := NewKey(securemsg.P256, bytes.NewReader(random)); err == nil {
			t.Errorf("NewKey from %s = %v", name, key)
		}
	}
}
