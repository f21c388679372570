package artifact

import (
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

type unpackOptions struct {
	window int64 // bytes of dictionary
	ahead  bool  // unpack in the background; needs close
	where  string
}

// An unpacker reads a compressed stream. Its errors are broken rules, or those
// of the stream below. It returns io.EOF only where the stream below does, so
// nothing can hide behind the compressed data.
type unpacker struct {
	r     io.Reader
	close func()
	where string
}

// unpack reads r, packed as c, without a goroutine unless asked for.
func unpack(r io.Reader, c Compression, o unpackOptions) (*unpacker, error) {
	u := &unpacker{close: func() {}, where: o.where}
	var err error
	switch c {
	case None:
		u.r = r
	case Gzip:
		u.r, err = gzip.NewReader(r)
	case Lzma:
		u.r, err = newXZReader(r, o.window)
	case Zstd:
		err = u.openZstd(r, o)
	}
	if err != nil {
		return nil, u.explain(err)
	}
	if o.ahead && c != Zstd { // which has its own
		a := readAhead(u.r)
		u.r, u.close = a, a.close
	}
	return u, nil
}

func (u *unpacker) openZstd(r io.Reader, o unpackOptions) error {
	concurrency := 1
	if o.ahead {
		concurrency = 0 // as many as there are cores, at most 4
	}
	in, err := zstd.NewReader(r,
		zstd.WithDecoderConcurrency(concurrency),
		zstd.WithDecoderMaxWindow(uint64(o.window)),
		zstd.WithDecoderLowmem(!o.ahead))
	if err != nil {
		return err
	}
	u.r, u.close = in, in.Close
	return nil
}

func (u *unpacker) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if err != nil && err != io.EOF {
		err = u.explain(err)
	}
	return n, err
}

func (u *unpacker) explain(err error) error {
	var known *RuleError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return broken(RuleTruncated, u.where, "the compressed stream ends too early")
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, errWindow):
		return broken(RuleSize, u.where, "%v", err)
	default:
		return broken(RuleCompression, u.where, "%v", err)
	}
}

// A payload is data/0000.tar while it is read.
type payload struct {
	entries *entries
	close   func()
}

func openPayload(r *Reader, name string, c Compression) (*payload, error) {
	in, err := unpack(r.outer.tar, c, unpackOptions{window: r.limits.Window, ahead: r.opts.ReadAhead, where: name})
	if err != nil {
		return nil, r.src.explain(err, RuleCompression, name)
	}
	return &payload{entries: newEntries(r.src, in, r.limits.Payload, name), close: in.close}, nil
}
