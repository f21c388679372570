package api

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/moult-ota/moult/internal/api/clientgen"
)

var update = flag.Bool("update", false, "rewrite openapi.yaml and the client")

// TestOpenAPI fails when the API changed and its description did not.
func TestOpenAPI(t *testing.T) {
	text, err := Spec().YAML()
	if err != nil {
		t.Fatal(err)
	}
	same(t, "openapi.yaml", text)
}

// TestGeneratedClient fails when the client is not what its generator makes.
func TestGeneratedClient(t *testing.T) {
	source, err := clientgen.Source(Spec())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "client/generated.go", source)
}

func same(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the API says (%d bytes, want %d); look at the change, then: make golden", file, len(got), len(want))
	}
}
