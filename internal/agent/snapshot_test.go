package agent

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	image, want := filepath.Join(dir, "image"), bytes.Repeat([]byte("moult"), 100_000)
	if err := os.WriteFile(image, want, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"none", "gzip"} {
		var out, said bytes.Buffer
		if code := Main([]string{"snapshot", "--source", image, "-C", c}, nil, &out, &said); code != exitOK {
			t.Fatalf("snapshot -C %s = %d: %s", c, code, &said)
		}
		var r io.Reader = &out
		if c == "gzip" {
			z, err := gzip.NewReader(&out)
			if err != nil {
				t.Fatal(err)
			}
			r = z
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("snapshot -C %s gave %d bytes, %v; want the %d of the image", c, len(got), err, len(want))
		}
	}
}

func TestSnapshotRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no device":   {[]string{"--source", "/proc"}, exitError, "--source"},
		"missing":     {[]string{"--source", "/does/not/exist"}, exitError, "no such file"},
		"compression": {[]string{"-C", "rar"}, exitUsage, "none or gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			code := Main(append([]string{"snapshot"}, tt.args...), nil, io.Discard, &said)
			if code != tt.code || !strings.Contains(said.String(), tt.says) {
				t.Errorf("snapshot %q = %d, %q; want %d and %q", tt.args, code, &said, tt.code, tt.says)
			}
		})
	}
}
