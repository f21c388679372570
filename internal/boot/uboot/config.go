package uboot

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/moult-ota/moult/internal/atomicfile"
)

// DefaultConfig is where fw_printenv looks for the places of the environment.
const DefaultConfig = "/etc/fw_env.config"

const maxConfig = 64 << 10 // bytes of a configuration

// ErrYAML means a configuration in the form that newer libubootenv also reads.
var ErrYAML = errors.New("this is the YAML form; want lines of device, offset and size")

// A Place is where one copy of the environment is.
type Place struct {
	Path   string
	Offset int64 // in bytes; below 0 it counts from the end of what Path names
	Size   int   // bytes of the copy
}

// ReadConfig reads the file at path, see ParseConfig.
func ReadConfig(path string) ([]Place, error) {
	text, err := atomicfile.Read(path, maxConfig)
	if err != nil {
		return nil, err
	}
	places, err := ParseConfig(string(text))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return places, nil
}

// ParseConfig reads what fw_printenv has in fw_env.config: one line for a
// single copy or two of one size for redundant ones, each with device, offset
// as C writes numbers, size in hexadecimal with 0x or without, and what only
// MTD needs. Lines that begin with # are comments.
func ParseConfig(text string) ([]Place, error) {
	var places []Place
	for i, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		p, err := parsePlace(f)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		places = append(places, p)
	}
	switch {
	case len(places) == 0:
		return nil, errors.New("no place named")
	case len(places) > 2:
		return nil, fmt.Errorf("%d places, want one or two", len(places))
	case len(places) == 2 && places[0].Size != places[1].Size:
		return nil, fmt.Errorf("copies of 0x%x and 0x%x bytes, want one size", places[0].Size, places[1].Size)
	}
	return places, nil
}

func parsePlace(f []string) (Place, error) {
	if len(f) < 3 {
		if strings.HasSuffix(f[0], ":") || len(f) == 2 && f[1] == ":" {
			return Place{}, ErrYAML
		}
		return Place{}, errors.New("want device, offset and size")
	}
	offset, err := number(f[1])
	if err != nil || offset == math.MinInt64 || offset > math.MaxInt64-maxSize {
		return Place{}, fmt.Errorf("offset %s: want a number of bytes", f[1])
	}
	size, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(f[2]), "0x"), 16, 32)
	if err != nil || size < minSize || size > maxSize {
		return Place{}, fmt.Errorf("size %s: want 0x%x to 0x%x, in hexadecimal", f[2], minSize, maxSize)
	}
	return Place{f[0], offset, int(size)}, nil
}

// number reads what C's scanf reads with %lli, which is less than Go does.
func number(text string) (int64, error) {
	digits := strings.ToLower(strings.TrimLeft(text, "+-"))
	if strings.HasPrefix(digits, "0b") || strings.HasPrefix(digits, "0o") || strings.Contains(digits, "_") {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(text, 0, 64)
}
