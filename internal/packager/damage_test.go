package packager

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-ota/moult/internal/wire/object"
)

// TestDamagedBlobs: what a bad disk does to sizes and to the page list is
// noticed by Open, and what it does to a chunk by who takes it.
func TestDamagedBlobs(t *testing.T) {
	plain := pattern(200 << 12)
	tests := []struct {
		name   string
		ofTree bool
		damage func(b []byte) []byte
		opens  bool
	}{
		{"page list", true, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, false},
		{"tree too short", true, func(b []byte) []byte { return b[:len(b)-1] }, false},
		{"tree too long", true, func(b []byte) []byte { return append(b, 0) }, false},
		{"ciphertext too short", false, func(b []byte) []byte { return b[1:] }, false},
		{"a leaf", true, func(b []byte) []byte { b[0] ^= 1; return b }, true},
		{"a chunk", false, func(b []byte) []byte { b[5000] ^= 1; return b }, true},
	}
	for _, tt := range tests {
		s := fresh(t)
		o, err := s.make1(plain)
		if err != nil {
			t.Fatal(err)
		}
		k, _ := s.find(o.Artifact)
		sum := k.sealed
		if tt.ofTree {
			sum = k.tree
		}
		path := filepath.Join(s.dir, "blobs", sum[:2], sum[2:])
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, tt.damage(b), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Open(context.Background(), o.Spec.OID())
		if (err == nil) != tt.opens {
			t.Errorf("%s: Open = %v, want it to open: %v", tt.name, err, tt.opens)
		}
		if err == nil {
			takeDamaged(t, tt.name, r, o)
			r.Close()
		}
	}
}

// takeDamaged wants an answer refused, and no wrong byte stored.
func takeDamaged(t *testing.T, name string, r *Reader, o Object) {
	t.Helper()
	v, err := object.NewVerifier(o.Spec, &memory{}, object.Options{Key: &o.Key})
	if err != nil {
		t.Fatal(err)
	}
	for {
		for _, q := range v.Ask(object.Window{}) {
			err = errors.Join(err, r.Answer(q, v.Take))
		}
		if err != nil {
			break
		}
	}
	if !errors.Is(err, object.ErrRefused) {
		t.Errorf("%s: Take = %v, want ErrRefused", name, err)
	}
}
