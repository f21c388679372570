package rootfs

import "io"

// pieces and pieceSize are the memory of copyAhead: two pieces of 1 MiB, one
// being read and checked while the other is written.
const (
	pieces    = 2
	pieceSize = 1 << 20
)

// A piece is what was read at once, and how that ended.
type piece struct {
	bytes []byte
	err   error
}

// copyAhead copies src to dst, reading the next piece while the last one is
// written. The goroutine that reads has ended when copyAhead returns; stop,
// which makes reads of src fail, keeps that from taking long.
func copyAhead(dst io.Writer, src io.Reader, stop func()) error {
	free, full := make(chan []byte, pieces), make(chan piece, pieces)
	for range pieces {
		free <- make([]byte, pieceSize)
	}
	go func() {
		defer close(full)
		for b := range free {
			n, err := readPiece(src, b)
			full <- piece{b[:n], err}
			if err != nil {
				return
			}
		}
	}()
	err := drain(dst, full, free)
	if err != nil {
		stop()
	}
	close(free)
	for range full { // until the reader is gone
	}
	return err
}

// readPiece fills b; unlike io.ReadFull it leaves src's errors as they are.
func readPiece(src io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = src.Read(b[n:])
		n += m
	}
	return n, err
}

func drain(dst io.Writer, full <-chan piece, free chan<- []byte) error {
	for p := range full {
		if _, err := dst.Write(p.bytes); err != nil {
			return err
		}
		if p.err == io.EOF {
			return nil
		}
		if p.err != nil {
			return p.err
		}
		free <- p.bytes[:pieceSize]
	}
	return io.ErrUnexpectedEOF
}
