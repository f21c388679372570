package sim

import (
	"errors"
	"io/fs"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/boot/register"
)

// maxValue bounds a stored value.
const maxValue = 1 << 20

// A store is an agent's record or log on a real file, for as long as there is
// power.
type store struct {
	power *Power
	path  string
}

// NewStore returns the value in a file, for as long as there is power.
func NewStore(p *Power, path string) interface {
	Load() ([]byte, error)
	Save([]byte) error
} {
	return store{p, path}
}

func (s store) Load() (b []byte, err error) {
	err = s.power.do(func() error {
		b, err = atomicfile.Read(s.path, maxValue)
		if errors.Is(err, fs.ErrNotExist) {
			b, err = nil, nil
		}
		return err
	})
	return b, err
}

func (s store) Save(b []byte) error {
	return s.power.do(func() error { return atomicfile.Write(s.path, b, 0o600) })
}

// A flash is the register's file, for as long as there is power.
type flash struct {
	*register.Disk
	power *Power
}

func (f flash) ReadAt(b []byte, off int64) (n int, err error) {
	err = f.power.do(func() error { n, err = f.Disk.ReadAt(b, off); return err })
	return n, err
}

func (f flash) Program(b []byte, off int64) error {
	return f.power.do(func() error { return f.Disk.Program(b, off) })
}

func (f flash) Erase(sector int) error {
	return f.power.do(func() error { return f.Disk.Erase(sector) })
}
