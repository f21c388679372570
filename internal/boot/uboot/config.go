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

const (
	maxConfig = 64 << 10 // bytes of a configuration
	block     = 512      // bytes that a disk may spoil together
)

// A Place is where one copy of the environment is.
type Place struct {
	Path   string
	Offset int64
	Size   int // bytes of the copy
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
// single copy or two for redundant ones, each with device, offset, size and
// what only MTD needs. Lines that begin with # are comments.
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
	return places, sound(places)
}

func parsePlace(f []string) (Place, error) {
	if len(f) < 3 {
		return Place{}, errors.New("want device, offset and size")
	}
	offset, err := strconv.ParseInt(f[1], 0, 64)
	if err != nil || offset < 0 || offset > math.MaxInt64-maxSize {
		return Place{}, fmt.Errorf("offset %s: want a number from 0; places counted from the end are for fw_setenv", f[1])
	}
	size, err := strconv.ParseInt(f[2], 0, 64)
	if err != nil || size < minSize || size > maxSize {
		return Place{}, fmt.Errorf("size %s: want %d to %d", f[2], minSize, maxSize)
	}
	return Place{f[0], offset, int(size)}, nil
}

// sound wants one copy, or two of one size that no disk spoils together.
func sound(places []Place) error {
	switch len(places) {
	case 0, 1, 2:
	default:
		return fmt.Errorf("%d places, want one or two", len(places))
	}
	if len(places) == 0 {
		return errors.New("no place named")
	}
	if len(places) == 1 {
		return nil
	}
	a, b := places[0], places[1]
	switch {
	case a.Size != b.Size:
		return fmt.Errorf("copies of %d and %d bytes", a.Size, b.Size)
	case a.Path == b.Path && (b.end() > a.start() && a.end() > b.start()):
		return fmt.Errorf("both copies share a block of %d bytes", block)
	}
	return nil
}

// start and end are those of the blocks that the copy touches.
func (p Place) start() int64 { return p.Offset / block * block }
func (p Place) end() int64   { return (p.Offset + int64(p.Size) + block - 1) / block * block }
