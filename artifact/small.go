//go:build moult_sbl

package artifact

import (
	"errors"
	"io"
)

var errWindow = errors.New("dictionary over the limit")

// newXZReader reads no xz: a boot loader has no room for it.
func newXZReader(io.Reader, int64) (io.Reader, error) {
	return nil, errors.New("this program does not read xz; pack the artifact with gzip or zstd")
}
