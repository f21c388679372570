package mcuboot_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-ota/moult/mcuboot"
)

// The vectors were made by imgtool 2.5.0, the tool of MCUboot, from payload.bin.

func read(t *testing.T, name string) []byte {
	t.Helper()
	p, err := os.ReadFile(filepath.Join("testdata", name))
	check(t, err)
	return p
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func private(t *testing.T, name string) crypto.PrivateKey {
	t.Helper()
	k, err := mcuboot.ParsePrivateKey(read(t, name+".pem"))
	check(t, err)
	return k
}

func public(t *testing.T, name string) mcuboot.PublicKey {
	t.Helper()
	k, err := mcuboot.ParsePublicKey(read(t, name+".pem"))
	check(t, err)
	return k
}

func parse(t *testing.T, p []byte) *mcuboot.Image {
	t.Helper()
	im, rest, err := mcuboot.Parse(p)
	check(t, err)
	if im.Size()+len(rest) != len(p) {
		t.Errorf("image of %d bytes and %d more, of %d", im.Size(), len(rest), len(p))
	}
	return im
}

func TestVectors(t *testing.T) {
	payload := read(t, "vectors/payload.bin")
	for name, tt := range map[string]struct {
		key, version string
		header       uint16
	}{
		"ecdsa-p256": {"ecdsa-p256", "1.2.3+4", 0x200}, "ed25519": {"ed25519", "1.2.3+4", 0x200}, "rsa-2048": {"rsa-2048", "1.2.3+4", 0x200},
		"rsa-3072": {"rsa-3072", "1.2.3+4", 0x200}, "protected": {"ecdsa-p256", "2.0.1", 0x20}, "pure": {"ed25519", "1.0.0", 0x20}, "full-key": {"ecdsa-p256", "1.0.0", 0x20},
	} {
		im := parse(t, read(t, "vectors/"+name+".bin"))
		if !bytes.Equal(im.Payload, payload) || im.Header.Version.String() != tt.version || im.Header.Size != tt.header {
			t.Errorf("%s: %+v with %d bytes", name, im.Header, len(im.Payload))
		}
		if err := im.Verify(public(t, tt.key)); err != nil {
			t.Errorf("%s: Verify() = %v", name, err)
		}
		for _, other := range []string{"ecdsa-p256", "ed25519", "rsa-2048", "rsa-3072"} {
			if other != tt.key && !errors.Is(im.Verify(public(t, other)), mcuboot.ErrSignature) {
				t.Errorf("%s: Verify() with %s = %v, want %v", name, other, im.Verify(public(t, other)), mcuboot.ErrSignature)
			}
		}
		if err := im.Verify(); !errors.Is(err, mcuboot.ErrNoKey) {
			t.Errorf("%s: Verify() without a key = %v, want %v", name, err, mcuboot.ErrNoKey)
		}
	}
}

func TestProtected(t *testing.T) {
	im := parse(t, read(t, "vectors/protected.bin"))
	n, ok := im.SecurityCounter()
	deps, err := im.Dependencies()
	check(t, err)
	if n != 6 || !ok || len(deps) != 1 || deps[0] != (mcuboot.Dependency{Image: 1, Version: mcuboot.Version{Major: 1, Minor: 2, Revision: 3}}) {
		t.Errorf("counter %d %v, dependencies %+v", n, ok, deps)
	}
	found := false
	for _, v := range im.Protected {
		found = found || v.Type == 0xa0 && string(v.Value) == "hello"
	}
	if !found {
		t.Errorf("protected %+v", im.Protected)
	}
}

// encrypted are the vectors that only a device can read, and who signed them.
var encrypted = map[string]string{"ecdsa-p256": "ecdsa-p256", "x25519": "ed25519", "rsa-2048": "rsa-2048"}

func TestEncryptedVectors(t *testing.T) {
	for device, signer := range encrypted {
		for _, bits := range []string{"128", "256"} {
			im := parse(t, read(t, "vectors/encrypted-"+device+"-"+bits+".bin"))
			if err := im.Verify(public(t, signer)); !errors.Is(err, mcuboot.ErrEncrypted) {
				t.Errorf("%s %s: Verify() before Decrypt = %v", device, bits, err)
			}
			plain, err := im.Decrypt(private(t, device))
			check(t, err)
			if err := plain.Verify(public(t, signer)); err != nil || !bytes.HasPrefix(plain.Payload, read(t, "vectors/payload.bin")) {
				t.Errorf("%s %s: Verify() = %v, payload of %d bytes", device, bits, err, len(plain.Payload))
			}
			for other := range encrypted {
				if _, err := im.Decrypt(private(t, other)); other != device && !errors.Is(err, mcuboot.ErrRecipient) {
					t.Errorf("%s %s: Decrypt with %s = %v", device, bits, other, err)
				}
			}
		}
	}
}

// TestSign makes for each key what imgtool makes, byte for byte up to the
// signature, which is of its own chance.
func TestSign(t *testing.T) {
	counter := uint32(6)
	payload := read(t, "vectors/payload.bin")
	v123, err := mcuboot.ParseVersion("1.2.3+4")
	check(t, err)
	for name, s := range map[string]mcuboot.Spec{
		"ecdsa-p256": {Version: v123, HeaderSize: 0x200}, "ed25519": {Version: v123, HeaderSize: 0x200},
		"rsa-2048": {Version: v123, HeaderSize: 0x200}, "rsa-3072": {Version: v123, HeaderSize: 0x200},
		"protected": {
			Version: mcuboot.Version{Major: 2, Revision: 1}, Counter: &counter, Custom: []mcuboot.TLV{{Type: 0xa0, Value: []byte("hello")}},
			Dependencies: []mcuboot.Dependency{{Image: 1, Version: mcuboot.Version{Major: 1, Minor: 2, Revision: 3}}},
		},
	} {
		key := strings.Replace(name, "protected", "ecdsa-p256", 1)
		s.Payload, s.Key = payload, private(t, key).(crypto.Signer)
		got, err := mcuboot.Sign(rand.Reader, s)
		check(t, err)
		want := read(t, "vectors/"+name+".bin")
		same := len(want) - len(parse(t, want).Unprotected[len(parse(t, want).Unprotected)-1].Value) - 4
		// The total of the last area depends on the signature's length.
		area := bytes.LastIndex(want[:same], []byte{0x07, 0x69})
		if !bytes.Equal(got[:area], want[:area]) || !bytes.Equal(got[area+4:same], want[area+4:same]) {
			t.Errorf("%s: differs from imgtool's\n%x\n%x", name, got[area:same], want[area:same])
		}
		if err := parse(t, got).Verify(public(t, key)); err != nil {
			t.Errorf("%s: Verify() = %v", name, err)
		}
	}
}

func TestEncrypt(t *testing.T) {
	for device, signer := range encrypted {
		for _, long := range []bool{false, true} {
			to := public(t, device)
			p, err := mcuboot.Sign(rand.Reader, mcuboot.Spec{
				Payload: []byte("a payload that is no multiple of a block"), Key: private(t, signer).(crypto.Signer), EncryptFor: &to, AES256: long,
			})
			check(t, err)
			if bytes.Contains(p, []byte("payload")) {
				t.Errorf("%s: the payload can be read", device)
			}
			plain, err := parse(t, p).Decrypt(private(t, device))
			check(t, err)
			if err := plain.Verify(public(t, signer)); err != nil || !bytes.Contains(plain.Payload, []byte("payload")) {
				t.Errorf("%s: %v", device, err)
			}
		}
	}
}

// TestEveryBit: an image with one bit changed is refused, or says nothing else.
func TestEveryBit(t *testing.T) {
	for _, key := range []string{"ecdsa-p256", "ed25519", "rsa-2048"} {
		counter := uint32(1)
		p, err := mcuboot.Sign(rand.Reader, mcuboot.Spec{Payload: []byte("payload"), Key: private(t, key).(crypto.Signer), Counter: &counter})
		check(t, err)
		k := public(t, key)
		for bit := range len(p) * 8 {
			p[bit/8] ^= 1 << (bit % 8)
			if im, _, err := mcuboot.Parse(p); err == nil && im.Verify(k) == nil {
				t.Errorf("%s: byte %d changed, and believed", key, bit/8)
			}
			p[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// TestCut: the beginning of an image is none.
func TestCut(t *testing.T) {
	p := read(t, "vectors/protected.bin")
	for n := range p {
		if _, _, err := mcuboot.Parse(p[:n]); !errors.Is(err, mcuboot.ErrFormat) {
			t.Fatalf("Parse of %d of %d bytes = %v", n, len(p), err)
		}
	}
}

func TestSpecRefused(t *testing.T) {
	key := private(t, "ed25519").(crypto.Signer)
	rsa3072 := public(t, "rsa-3072")
	for name, s := range map[string]mcuboot.Spec{
		"no payload": {Key: key}, "no key": {Payload: []byte("x")}, "short header": {Payload: []byte("x"), Key: key, HeaderSize: 16},
		"long header": {Payload: []byte("x"), Key: key, HeaderSize: 1 << 16}, "short id": {Payload: []byte("x"), Key: key, VendorID: []byte("x")},
		"custom type of MCUboot": {Payload: []byte("x"), Key: key, Custom: []mcuboot.TLV{{Type: mcuboot.TypeCounter}}},
		"flag of encryption":     {Payload: []byte("x"), Key: key, Flags: mcuboot.FlagAES128}, "RSA-3072 for encryption": {Payload: []byte("x"), Key: key, EncryptFor: &rsa3072},
		"unknown flag": {Payload: []byte("x"), Key: key, Flags: 1 << 30},
	} {
		if _, err := mcuboot.Sign(rand.Reader, s); err == nil {
			t.Errorf("%s: Sign() = nil, want an error", name)
		}
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]string{
		"1.2.3+4": "1.2.3+4", "1": "1.0.0", "1.2": "1.2.0", "255.255.65535+4294967295": "255.255.65535+4294967295", "0.0.0": "0.0.0", "1+5": "1.0.0+5",
		"256.0.0": "", "1.2.65536": "", "1.2.3+4294967296": "", "01.2.3": "", "1.2.3.4": "", "": "", "v1.2.3": "", "1.2.3-rc1": "", " 1.2.3": "",
	} {
		v, err := mcuboot.ParseVersion(text)
		if (err == nil) != (want != "") || err == nil && v.String() != want {
			t.Errorf("ParseVersion(%q) = %v, %v, want %q", text, v, err, want)
		}
	}
	order := []mcuboot.Version{{}, {Revision: 1}, {Minor: 1}, {Minor: 1, Revision: 2}, {Major: 1}}
	for i, a := range order {
		for j, b := range order {
			if got := a.Compare(b); got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%v.Compare(%v) = %d", a, b, got)
			}
		}
	}
}

func TestTrailerVectors(t *testing.T) {
	for name, tt := range map[string]struct {
		align int
		ok    mcuboot.Flag
	}{
		"pad-8": {8, mcuboot.Unset}, "pad-16": {16, mcuboot.Unset}, "pad-32": {32, mcuboot.Unset},
		"confirm-8": {8, mcuboot.Set}, "confirm-16": {16, mcuboot.Set}, "confirm-32": {32, mcuboot.Set},
	} {
		l := mcuboot.Layout{Align: tt.align, Erased: 0xff}
		p := read(t, "vectors/"+name+".bin")
		got, err := l.ParseTrailer(p)
		check(t, err)
		if want := (mcuboot.Trailer{Magic: mcuboot.Set, ImageOK: tt.ok}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		mine, err := l.Pending(tt.ok == mcuboot.Set)
		check(t, err)
		if !bytes.HasSuffix(p, mine) {
			t.Errorf("%s: Pending() = %x, imgtool has %x", name, mine, p[len(p)-len(mine):])
		}
		_, rest, err := mcuboot.Parse(p)
		check(t, err)
		if len(bytes.Trim(rest[:len(rest)-l.Size()], "\xff")) != 0 {
			t.Errorf("%s: something between image and trailer", name)
		}
	}
	if _, err := (mcuboot.Layout{Align: 4}).ParseTrailer(make([]byte, 100)); err == nil {
		t.Error("a trailer of alignment 4 was read")
	}
}

// TestNextSwap is MCUboot's table, every row and every combination.
func TestNextSwap(t *testing.T) {
	flags := []mcuboot.Flag{mcuboot.Unset, mcuboot.Set, mcuboot.Bad}
	good := func(f mcuboot.Flag) bool { return f == mcuboot.Set }
	for _, pm := range flags {
		for _, po := range flags {
			for _, pc := range flags {
				for _, sm := range flags {
					for _, so := range flags {
						for _, sc := range flags {
							for _, offset := range []bool{false, true} {
								p, s := mcuboot.Trailer{Magic: pm, ImageOK: po, CopyDone: pc}, mcuboot.Trailer{Magic: sm, ImageOK: so, CopyDone: sc}
								want := mcuboot.SwapNone
								if good(pm) && po == mcuboot.Unset && good(pc) {
									want = mcuboot.SwapRevert
								}
								if good(sm) && good(so) {
									want = mcuboot.SwapPerm
								}
								if good(sm) && so == mcuboot.Unset {
									want = mcuboot.SwapTest
									if offset && good(sc) {
										want = mcuboot.SwapRevert
									}
								}
								if got := mcuboot.NextSwap(p, s, offset); got != want {
									t.Errorf("NextSwap(%+v, %+v, %v) = %v, want %v", p, s, offset, got, want)
								}
							}
						}
					}
				}
			}
		}
	}
}

func TestGuard(t *testing.T) {
	image := func(version string, counter int) *mcuboot.Image {
		v, err := mcuboot.ParseVersion(version)
		check(t, err)
		s := mcuboot.Spec{Payload: []byte("x"), Key: private(t, "ed25519").(crypto.Signer), Version: v}
		if counter >= 0 {
			n := uint32(counter)
			s.Counter = &n
		}
		p, err := mcuboot.Sign(rand.Reader, s)
		check(t, err)
		return parse(t, p)
	}
	five := uint32(5)
	for _, tt := range []struct {
		name          string
		guard         mcuboot.Guard
		next, running *mcuboot.Image
		ok            bool
	}{
		{"no guard", mcuboot.Guard{}, image("1.0.0", -1), image("2.0.0", 9), true},
		{"newer", mcuboot.Guard{Newer: true}, image("2.0.0", -1), image("1.0.0", -1), true},
		{"equal", mcuboot.Guard{Newer: true}, image("1.0.0", -1), image("1.0.0", -1), true},
		{"older", mcuboot.Guard{Newer: true}, image("1.0.0", -1), image("1.0.1", -1), false},
		{"older build, not compared", mcuboot.Guard{Newer: true}, image("1.0.0+1", -1), image("1.0.0+2", -1), true},
		{"older build", mcuboot.Guard{Newer: true, BuildNumbers: true}, image("1.0.0+1", -1), image("1.0.0+2", -1), false},
		{"lower counter", mcuboot.Guard{Counter: true}, image("2.0.0", 4), image("1.0.0", 5), false},
		{"no counter where one was", mcuboot.Guard{Counter: true}, image("2.0.0", -1), image("1.0.0", 5), false},
		{"a counter where none was", mcuboot.Guard{Counter: true}, image("2.0.0", 1), image("1.0.0", -1), true},
		{"below the floor", mcuboot.Guard{Floor: &five}, image("2.0.0", 4), nil, false},
		{"at the floor", mcuboot.Guard{Floor: &five}, image("2.0.0", 5), nil, true},
		{"no counter for the floor", mcuboot.Guard{Floor: &five}, image("2.0.0", -1), nil, false},
	} {
		if err := tt.guard.Check(tt.next, tt.running); (err == nil) != tt.ok || err != nil && !errors.Is(err, mcuboot.ErrDowngrade) {
			t.Errorf("%s: Check() = %v, want ok %v", tt.name, err, tt.ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"protected", "pure", "encrypted-x25519-128", "full-key"} {
		p, err := os.ReadFile("testdata/vectors/" + name + ".bin")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	text, err := os.ReadFile("testdata/ecdsa-p256.pem")
	if err != nil {
		f.Fatal(err)
	}
	key, err := mcuboot.ParsePublicKey(text)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		im, rest, err := mcuboot.Parse(p)
		if err != nil {
			return
		}
		if im.Size()+len(rest) != len(p) {
			t.Errorf("image of %d bytes and %d more, of %d", im.Size(), len(rest), len(p))
		}
		_ = im.Verify(key)
		_ = im.Hash()
		_, _ = (mcuboot.Layout{Align: 8, Erased: 0xff}).ParseTrailer(rest)
	})
}
