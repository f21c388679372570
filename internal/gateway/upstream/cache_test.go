package upstream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/link"
)

// A source is one artifact, at any address.
type source []byte

func (s source) Open(_ context.Context, _ string, offset int64) (link.Stream, error) {
	return link.Stream{Body: io.NopCloser(bytes.NewReader(s[offset:])), Total: int64(len(s))}, nil
}

// TestOpenedAsItBecomesWhole: whoever opens an artifact at the moment at which
// its download ends has all of it, and nothing else is left in the folder.
func TestOpenedAsItBecomesWhole(t *testing.T) {
	for n := range 300 {
		text := source(bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 8<<10))
		sum := sha256.Sum256(text)
		folder := t.TempDir()
		c, err := openCache(folder, 1<<20, text, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		o := offer{}
		o.SHA256, o.Size, o.URI = hex.EncodeToString(sum[:]), int64(len(text)), "x"
		var all sync.WaitGroup
		for k := range 8 {
			all.Go(func() {
				time.Sleep(time.Duration(k*n%50) * 10 * time.Microsecond)
				r, err := c.open(t.Context(), o)
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Close()
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, text) {
					t.Errorf("read %d bytes, %v, want %d", len(got), err, len(text))
				}
			})
		}
		all.Wait()
		c.stop()
		files, err := os.ReadDir(folder)
		if err != nil || len(files) != 1 || strings.HasSuffix(files[0].Name(), part) {
			t.Fatalf("run %d: the folder has %v, %v, want the artifact alone", n, files, err)
		}
	}
}
