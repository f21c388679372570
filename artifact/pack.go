package artifact

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
)

// pgzip cuts its input into blocks of this many bytes and packs each on its
// own, so the output depends on it; it is part of "same input, same bytes".
const gzipBlock = 1 << 20

const copyBuffer = 1 << 20

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// pack returns a writer that packs into w. Its bytes depend on what is
// written, not on the number of cores.
func pack(w io.Writer, c Compression) (io.WriteCloser, error) {
	switch c {
	case None:
		return nopCloser{w}, nil
	case Gzip:
		return packGzip(w)
	default:
		return newFrameWriter(w, zstdLevel(c))
	}
}

// gzipLevel packs as small as mender-artifact in a third of its time; test/bench
// has the numbers.
const gzipLevel = 5

func packGzip(w io.Writer) (io.WriteCloser, error) {
	z, err := pgzip.NewWriterLevel(w, gzipLevel)
	if err != nil {
		return nil, err
	}
	return z, z.SetConcurrency(gzipBlock, 16)
}

func zstdLevel(c Compression) zstd.EncoderLevel {
	switch c {
	case ZstdFastest:
		return zstd.SpeedFastest
	case ZstdBetter:
		return zstd.SpeedBetterCompression
	case ZstdBest:
		return zstd.SpeedBestCompression
	default:
		return zstd.SpeedDefault
	}
}

// tarHeader returns the header of a plain file; nothing in it but name and
// size depends on where the file came from.
func tarHeader(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: time.Unix(0, 0)}
}

func addBytes(w *tar.Writer, name string, b []byte) error {
	if err := w.WriteHeader(tarHeader(name, int64(len(b)))); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// A packed payload can be written once its header is known.
type packed struct {
	sums []FileSum
	size int64    // of data/0000.tar and its suffix
	file *os.File // holds it, or nil
	spec *Spec    // writes it again, when there is no file
}

// packPayload reads all files of s. Compressed, they go to a temporary file;
// otherwise only their sums and the size are kept.
func packPayload(s *Spec) (*packed, error) {
	if s.Compression == None {
		return sumPayload(s)
	}
	file, err := os.CreateTemp(s.TempDir, ".moult-artifact-*")
	if err != nil {
		return nil, err
	}
	os.Remove(file.Name()) // where the system allows it; nothing is left when the program is killed
	p := &packed{file: file}
	if err := p.fill(s); err != nil {
		p.remove()
		return nil, err
	}
	return p, nil
}

func (p *packed) fill(s *Spec) error {
	z, err := pack(p.file, s.Compression)
	if err != nil {
		return err
	}
	p.sums, err = writePayload(z, s)
	if closeErr := z.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if p.size, err = p.file.Seek(0, io.SeekCurrent); err != nil {
		return err
	}
	_, err = p.file.Seek(0, io.SeekStart)
	return err
}

func (p *packed) remove() {
	if p.file != nil {
		p.file.Close()
		os.Remove(p.file.Name())
	}
}

// sumPayload hashes the files and works out how long their tar will be.
func sumPayload(s *Spec) (*packed, error) {
	p := &packed{spec: s, size: tarTrailer}
	for _, f := range s.Files {
		hash := sha256.New()
		if err := copySource(hash, f); err != nil {
			return nil, err
		}
		p.sums = append(p.sums, FileSum{f.Name, Digest(hash.Sum(nil))})
		head, err := headerSize(f)
		if err != nil {
			return nil, err
		}
		p.size += head + padded(f.Size)
	}
	return p, nil
}

// headerSize returns the bytes before a file in a tar, which are more than a
// block when its size needs more than 11 octal digits.
func headerSize(f Source) (int64, error) {
	var n counter
	err := tar.NewWriter(&n).WriteHeader(tarHeader(f.Name, f.Size))
	return int64(n), err
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// writePayload writes the tar of the files of s, and returns their sums.
func writePayload(w io.Writer, s *Spec) ([]FileSum, error) {
	t := tar.NewWriter(w)
	var sums []FileSum
	for _, f := range s.Files {
		if err := t.WriteHeader(tarHeader(f.Name, f.Size)); err != nil {
			return nil, err
		}
		hash := sha256.New()
		if err := copySource(io.MultiWriter(hash, t), f); err != nil {
			return nil, err
		}
		sums = append(sums, FileSum{f.Name, Digest(hash.Sum(nil))})
	}
	return sums, t.Close()
}

func copySource(w io.Writer, f Source) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{in}, make([]byte, copyBuffer))
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Name, err)
	}
	if n != f.Size {
		return fmt.Errorf("read %s: %d bytes, want %d", f.Name, n, f.Size)
	}
	return nil
}
