package artifact

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// A source is the stream from outside. It keeps the stream's own error, as
// decoders above it may turn that into one of theirs.
type source struct {
	r   io.Reader
	err error // not io.EOF
}

func newSource(r io.Reader) (*source, io.Reader) {
	s := &source{r: r}
	return s, bufio.NewReaderSize(s, 64<<10)
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// explain turns an error met at where into one for the caller: the stream's
// own, a broken rule as it is, or otherwise the given rule.
func (s *source) explain(err error, rule Rule, where string) error {
	var known *RuleError
	switch {
	case s.err != nil:
		return fmt.Errorf("read artifact: %w", s.err)
	case errors.As(err, &known):
		return known
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return broken(RuleTruncated, where, "the file ends too early")
	default:
		return broken(rule, where, "%v", err)
	}
}

// A meter counts what passes and refuses more than max bytes.
type meter struct {
	r     io.Reader
	n     int64
	max   int64
	where string
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	if m.n > m.max {
		return 0, broken(RuleSize, m.where, "more than %d bytes", m.max)
	}
	return n, err
}

// readSmall reads all of r, which must hold size bytes, at most limit.
func readSmall(r io.Reader, size, limit int64, where string) ([]byte, error) {
	if size > limit {
		return nil, broken(RuleSize, where, "%d bytes, at most %d are allowed", size, limit)
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, err
}
