package artifact

import (
	"fmt"
	"strings"
)

// A Compression is a way to pack header and payload.
type Compression string

// The compressions. Names with an underscore are levels of one format, for
// writing; a reader reports Zstd for all of them.
const (
	None        Compression = "none"
	Gzip        Compression = "gzip" // the default
	Lzma        Compression = "lzma" // an xz container; read only
	Zstd        Compression = "zstd" // needs mender-client 3.5 or moult-agent
	ZstdFastest Compression = "zstd_fastest"
	ZstdFast    Compression = "zstd_fast"
	ZstdBetter  Compression = "zstd_better"
	ZstdBest    Compression = "zstd_best"
)

// Suffix returns what c adds to a file name, such as ".gz".
func (c Compression) Suffix() string {
	switch {
	case c == None:
		return ""
	case c == Lzma:
		return ".xz"
	case strings.HasPrefix(string(c), string(Zstd)):
		return ".zst"
	default:
		return ".gz"
	}
}

// ParseCompression returns the compression named s; "" is the default, Gzip.
func ParseCompression(s string) (Compression, error) {
	switch c := Compression(s); c {
	case "":
		return Gzip, nil
	case None, Gzip, Lzma, Zstd, ZstdFastest, ZstdFast, ZstdBetter, ZstdBest:
		return c, nil
	default:
		return "", fmt.Errorf("compression %q: want none, gzip, zstd, zstd_fastest, zstd_fast, zstd_better, zstd_best (lzma to read)", s)
	}
}
