//go:build !moult_sbl

package artifact

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// The xz container (tukaani.org/xz/xz-file-format.txt), one stream:
//
//	header  fd 37 7a 58 5a 00  flags(2)  CRC32(4)
//	block   header  LZMA2 data  padding to 4  check     any number
//	index   00  count  {unpadded size, size}  padding  CRC32
//	footer  CRC32(4)  backward size(4)  flags(2)  59 5a
//
// The container is read here, as a library's reader would allocate whatever
// dictionary, up to 4 GiB, a block asks for.

var (
	errXZ     = errors.New("xz")
	errWindow = errors.New("dictionary over the limit")
	xzMagic   = []byte{0xfd, '7', 'z', 'X', 'Z', 0}
)

const lzma2Filter = 0x21

type xzReader struct {
	in     *countedBytes
	window int64
	flags  [2]byte
	check  hash.Hash // of the current block; nil for none
	block  io.Reader // nil between blocks
	blocks uint64
	start  int64 // of the block's data, in bytes of in
	err    error
}

// A countedBytes counts, and reads single bytes as the decoder wants.
type countedBytes struct {
	r *bufio.Reader
	n int64
}

func (c *countedBytes) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *countedBytes) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

func newXZReader(r io.Reader, window int64) (*xzReader, error) {
	x := &xzReader{in: &countedBytes{r: bufio.NewReaderSize(r, 32<<10)}, window: window}
	head, err := x.take(12)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(head[:6], xzMagic) || !crcMatches(head[6:8], head[8:]) {
		return nil, fmt.Errorf("%w: bad stream header", errXZ)
	}
	copy(x.flags[:], head[6:8])
	_, err = x.newCheck()
	return x, err
}

func (x *xzReader) newCheck() (hash.Hash, error) {
	switch x.flags {
	case [2]byte{0, 0}:
		return nil, nil
	case [2]byte{0, 1}:
		return crc32.NewIEEE(), nil
	case [2]byte{0, 4}:
		return crc64.New(crc64.MakeTable(crc64.ECMA)), nil
	case [2]byte{0, 10}:
		return sha256.New(), nil
	}
	return nil, fmt.Errorf("%w: unknown flags %x", errXZ, x.flags)
}

func (x *xzReader) Read(p []byte) (int, error) {
	for x.err == nil {
		if x.block == nil {
			x.err = x.nextBlock()
			continue
		}
		n, err := x.block.Read(p)
		if x.check != nil {
			x.check.Write(p[:n])
		}
		if err == io.EOF {
			x.block, err = nil, x.endBlock()
		}
		x.err = err
		if n > 0 {
			return n, nil
		}
	}
	return 0, x.err
}

// nextBlock opens the next block, or reads the rest and returns io.EOF.
func (x *xzReader) nextBlock() error {
	size, err := x.in.ReadByte()
	if err != nil {
		return noEOF(err)
	}
	if size == 0 {
		return x.tail()
	}
	head, err := x.take(int(size)*4 + 3) // the size byte is not in it
	if err != nil {
		return err
	}
	head = append([]byte{size}, head...)
	body := head[:len(head)-4]
	if !crcMatches(body, head[len(head)-4:]) {
		return fmt.Errorf("%w: bad block header", errXZ)
	}
	return x.openBlock(body[1:])
}

// openBlock wants LZMA2 and no other filter:
//
//	flags  [packed size]  [size]  filter id, 1, dictionary  zeros
func (x *xzReader) openBlock(head []byte) error {
	flags, head := head[0], head[1:]
	if flags&^0xc0 != 0 {
		return fmt.Errorf("%w: block has other filters than LZMA2", errXZ)
	}
	for _, bit := range []byte{0x40, 0x80} {
		if flags&bit == 0 {
			continue
		}
		_, n := binary.Uvarint(head)
		if n <= 0 {
			return fmt.Errorf("%w: bad size in block header", errXZ)
		}
		head = head[n:]
	}
	if len(head) < 3 || head[0] != lzma2Filter || head[1] != 1 {
		return fmt.Errorf("%w: block is not LZMA2", errXZ)
	}
	dict, err := lzma.DecodeDictCap(head[2])
	if err != nil {
		return err
	}
	if dict > x.window {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", errWindow, dict, x.window)
	}
	x.check, _ = x.newCheck()
	x.start = x.in.n
	x.blocks++
	x.block, err = lzma.Reader2Config{DictCap: int(max(dict, lzma.MinDictCap))}.NewReader2(x.in)
	return err
}

func (x *xzReader) endBlock() error {
	if err := x.padding(x.in.n - x.start); err != nil {
		return err
	}
	if x.check == nil {
		return nil
	}
	stored, err := x.take(x.check.Size())
	if err != nil {
		return err
	}
	want := x.check.Sum(nil)
	if x.check.Size() < sha256.Size { // CRCs are stored little-endian
		for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
			want[i], want[j] = want[j], want[i]
		}
	}
	if !bytes.Equal(stored, want) {
		return fmt.Errorf("%w: bad check of a block", errXZ)
	}
	return nil
}

// tail reads index and footer, and returns io.EOF if all is well. The sizes
// in the index repeat what was read, so only their form is checked.
func (x *xzReader) tail() error {
	start := x.in.n - 1
	crc := crc32.NewIEEE()
	crc.Write([]byte{0})
	in := bytesTee{x.in, crc}
	count, err := binary.ReadUvarint(in)
	if err == nil && count != x.blocks {
		err = fmt.Errorf("%w: index has %d blocks, want %d", errXZ, count, x.blocks)
	}
	for i := uint64(0); err == nil && i < 2*x.blocks; i++ {
		_, err = binary.ReadUvarint(in)
	}
	for err == nil && (x.in.n-start)%4 != 0 {
		var b byte
		if b, err = in.ReadByte(); err == nil && b != 0 {
			err = fmt.Errorf("%w: padding is not zero", errXZ)
		}
	}
	if err != nil {
		return noEOF(err)
	}
	size := x.in.n - start
	foot, err := x.take(16)
	if err != nil {
		return err
	}
	return x.footer(foot, crc.Sum32(), size)
}

func (x *xzReader) footer(foot []byte, index uint32, indexSize int64) error {
	le := binary.LittleEndian
	backward := (int64(le.Uint32(foot[8:])) + 1) * 4
	switch {
	case le.Uint32(foot) != index:
		return fmt.Errorf("%w: bad index", errXZ)
	case !crcMatches(foot[8:14], foot[4:8]), string(foot[14:]) != "YZ", !bytes.Equal(foot[12:14], x.flags[:]), backward != indexSize+4:
		return fmt.Errorf("%w: bad footer", errXZ)
	}
	if _, err := x.in.ReadByte(); err != io.EOF {
		return fmt.Errorf("%w: data after the stream", errXZ)
	}
	return io.EOF
}

// A bytesTee hashes the bytes that are read.
type bytesTee struct {
	in  io.ByteReader
	sum io.Writer
}

func (t bytesTee) ReadByte() (byte, error) {
	b, err := t.in.ReadByte()
	if err == nil {
		t.sum.Write([]byte{b})
	}
	return b, err
}

func (x *xzReader) padding(size int64) error {
	zeros, err := x.take(int(-size & 3))
	if err == nil && len(bytes.Trim(zeros, "\x00")) > 0 {
		err = fmt.Errorf("%w: padding is not zero", errXZ)
	}
	return err
}

func (x *xzReader) take(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(x.in, b)
	return b, noEOF(err)
}

func crcMatches(b, stored []byte) bool {
	return crc32.ChecksumIEEE(b) == binary.LittleEndian.Uint32(stored)
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
