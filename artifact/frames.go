package artifact

import (
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
)

// zstdFrame is how many bytes go into one zstd frame. Frames are packed on
// their own, so all cores can work; two per cent more output pay for it. It is
// part of "same input, same bytes".
const zstdFrame = 16 << 20

// A frameWriter writes a zstd stream of frames, in order.
type frameWriter struct {
	zstd   *zstd.Encoder
	frame  []byte           // what came since the last one
	queue  chan chan []byte // packed frames, each as soon as it is ready
	done   chan error       // of what writes them
	frames int
}

func newFrameWriter(w io.Writer, level zstd.EncoderLevel) (*frameWriter, error) {
	cores := runtime.GOMAXPROCS(0)
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(cores))
	if err != nil {
		return nil, err
	}
	f := &frameWriter{zstd: z, queue: make(chan chan []byte, cores), done: make(chan error, 1)}
	go func() { f.done <- f.drain(w) }()
	return f, nil
}

// drain writes frames until the queue is closed; after an error it throws
// them away.
func (f *frameWriter) drain(w io.Writer) (err error) {
	for packed := range f.queue {
		b := <-packed
		if err == nil {
			_, err = w.Write(b)
		}
	}
	return err
}

func (f *frameWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), zstdFrame-len(f.frame))
		f.frame = append(f.frame, rest[:n]...)
		rest = rest[n:]
		if len(f.frame) == zstdFrame {
			f.flush()
		}
	}
	return len(p), nil
}

func (f *frameWriter) flush() {
	frame, packed := f.frame, make(chan []byte, 1)
	f.frame = make([]byte, 0, len(frame))
	f.frames++
	f.queue <- packed
	go func() { packed <- f.zstd.EncodeAll(frame, nil) }()
}

// Close writes what is left and returns the first error of writing.
func (f *frameWriter) Close() error {
	if len(f.frame) > 0 || f.frames == 0 {
		f.flush()
	}
	close(f.queue)
	return <-f.done
}
