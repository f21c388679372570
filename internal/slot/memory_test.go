package slot_test

import (
	"io"
)

// memory is a slot in memory that counts what is written to it.
type memory struct {
	bytes  []byte
	writes int64
	reads  int64
	fail   error // of every write, when not nil
	lost   bool  // writes are accepted and forgotten
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, m.bytes[min(off, int64(len(m.bytes))):])
	m.reads += int64(n)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if m.fail != nil {
		return 0, m.fail
	}
	m.writes += int64(len(p))
	if m.lost {
		return len(p), nil
	}
	return copy(m.bytes[off:], p), nil
}

func (m *memory) Sync() error          { return nil }
func (m *memory) Close() error         { return nil }
func (m *memory) Size() (int64, error) { return int64(len(m.bytes)), nil }
