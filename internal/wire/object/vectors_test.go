package object

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A vector is a file of testdata/vectors, made by another implementation:
//
//	form: take            or request, answer, object
//	expect: ok            or a part of the error
//	name: hex or number   as often as it takes
//
// Byte p of a plaintext is 7p + p/256, modulo 256.
type vector map[string][]string

func readVector(t *testing.T, file string) vector {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	v := vector{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			name, value = strings.TrimSuffix(name, ":"), ""
		}
		v[name] = append(v[name], value)
	}
	return v
}

func (v vector) text(name string) string {
	if len(v[name]) != 1 {
		panic(fmt.Sprintf("%d times %q", len(v[name]), name))
	}
	return v[name][0]
}

func (v vector) bytes(name string) []byte { return unhex(v.text(name)) }

func (v vector) number(name string) int64 {
	n, err := strconv.ParseInt(v.text(name), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func unhex(s string) []byte {
	raw, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return raw
}

func (v vector) spec() Spec {
	return Spec{Root: Hash(v.bytes("root")), Nonce0: Nonce(v.bytes("nonce0")), Chunk: uint8(v.number("chunk")),
		Size: v.number("size"), Check: [16]byte(v.bytes("check"))}
}

func TestVectors(t *testing.T) {
	files, _ := filepath.Glob("testdata/vectors/*.txt")
	if len(files) < 50 {
		t.Fatalf("%d vectors", len(files))
	}
	forms := map[string]func(*testing.T, vector) error{
		"take": takeVector, "request": requestVector, "answer": answerVector, "object": objectVector,
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			v := readVector(t, file)
			err := forms[v.text("form")](t, v)
			switch expect := v.text("expect"); {
			case expect == "ok" && err != nil:
				t.Errorf("got %v, want no error", err)
			case expect != "ok" && (err == nil || !strings.Contains(err.Error(), expect)):
				t.Errorf("got %v, want an error with %q", err, expect)
			}
		})
	}
}

// takeVector takes all answers; only the last may be refused.
func takeVector(t *testing.T, v vector) error {
	s, o := v.spec(), Options{}
	if v["key"] != nil {
		key := Key(v.bytes("key"))
		o.Key = &key
	}
	to := &memory{}
	verifier, err := NewVerifier(s, to, o)
	if err != nil {
		return err
	}
	for n, a := range v["answer"] {
		if err := verifier.Take(unhex(a)); err != nil {
			if n < len(v["answer"])-1 {
				t.Errorf("answer %d: Take = %v", n, err)
			}
			return err
		}
	}
	if v["sha256"] == nil {
		return nil
	}
	if got := sha256.Sum256(to.b); verifier.Missing() != 0 || !bytes.Equal(got[:], v.bytes("sha256")) {
		t.Errorf("%d chunks missing, SHA-256 %x, want %x", verifier.Missing(), got, v.bytes("sha256"))
	}
	return nil
}

func requestVector(t *testing.T, v vector) error {
	src := v.bytes("bytes")
	r, err := ParseRequest(src)
	if err != nil {
		return err
	}
	if again, err := AppendRequest(nil, r); err != nil || !bytes.Equal(again, src) {
		t.Errorf("AppendRequest(%+v) = %x, %v, want %x", r, again, err, src)
	}
	return nil
}

func answerVector(t *testing.T, v vector) error {
	src := v.bytes("bytes")
	a, err := ParseAnswer(src)
	if err != nil {
		return err
	}
	if again, err := AppendAnswer(nil, a); err != nil || !bytes.Equal(again, src) {
		t.Errorf("AppendAnswer(%+v) = %x, %v, want %x", a, again, err, src)
	}
	return nil
}

// objectVector makes the object.
func objectVector(t *testing.T, v vector) error {
	s := seal(t, Key(v.bytes("key")), Nonce(v.bytes("nonce0")), uint8(v.number("chunk")), pattern(int(v.number("size"))))
	for name, got := range map[string][]byte{
		"check": s.Check[:], "root": s.Root[:], "list": s.list, "last": s.sealed[s.Chunks()-1],
		"leaf 0": s.leaves[:32], "leaf 128": s.leaves[128*32 : 129*32], "leaf 129": s.leaves[129*32:],
	} {
		if want := v.bytes(name); !bytes.Equal(got, want) {
			t.Errorf("%s = %x, want %x", name, got, want)
		}
	}
	return nil
}
