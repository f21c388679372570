package mqttlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/moult-ota/moult/internal/wire/object"
)

// A Cache is where downloads lie: a folder, or less.
type Cache interface {
	// Open opens a file, made when it is not there.
	Open(name string) (File, error)
	// Remove removes one; that it is not there is no error.
	Remove(name string) error
	// Names are the files that are there.
	Names() ([]string, error)
	// Room is how many bytes more there is room for.
	Room() (int64, error)
}

// A File is one of a Cache. What Sync returned nil for, a power cut leaves.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error
}

// A shelf holds one object while it comes: its plaintext in a file, and in a
// journal which chunks of that are whole. An entry is written after its chunk
// is on the medium, and every chunk is summed again before it is believed.
//
//	0 4 index of the chunk
//	4 4 CRC-32C of its plaintext
//	8 4 CRC-32C of these 8 bytes
type shelf struct {
	spec    object.Spec
	data    File
	journal File
	have    object.Bitmap
	end     int64  // of the journal
	fresh   []byte // entries of chunks that are not on the medium yet
	stored  int64  // bytes written since the last commit
}

const (
	entrySize   = 12
	commitBytes = 1 << 20 // of chunks between two commits
	dataSuffix  = ".data"
	journalEnd  = ".have"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errRoom = errors.New("no room for the download")

// openShelf opens what is there of an object, and makes room for the rest.
func openShelf(c Cache, s object.Spec) (*shelf, error) {
	name := s.OID().String()
	data, err := c.Open(name + dataSuffix)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	journal, err := c.Open(name + journalEnd)
	if err != nil {
		data.Close()
		return nil, fmt.Errorf("open cache: %w", err)
	}
	h := &shelf{spec: s, data: data, journal: journal, have: object.NewBitmap(s.Chunks())}
	if err := errors.Join(h.room(c), h.replay()); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// room refuses an object that does not fit.
func (h *shelf) room(c Cache) error {
	has, err := h.data.Size()
	if err != nil {
		return fmt.Errorf("open cache: %w", err)
	}
	free, err := c.Room()
	if err != nil {
		return fmt.Errorf("open cache: %w", err)
	}
	need := h.spec.Size - has + int64(h.spec.Chunks()*entrySize)
	if need > free {
		return fmt.Errorf("%w: %d bytes needed, %d free; make room, or give the agent an https server too", errRoom, need, free)
	}
	return nil
}

// replay reads the journal up to the first entry that is not whole, and
// believes those whose chunks are.
func (h *shelf) replay() error {
	size, err := h.journal.Size()
	if err != nil {
		return fmt.Errorf("read cache: %w", err)
	}
	chunk := make([]byte, 1<<h.spec.Chunk)
	var e [entrySize]byte
	for ; h.end+entrySize <= size && h.end < int64(h.spec.Chunks()*entrySize); h.end += entrySize {
		if _, err := h.journal.ReadAt(e[:], h.end); err != nil {
			break
		}
		i := int(binary.BigEndian.Uint32(e[:]))
		if crc32.Checksum(e[:8], castagnoli) != binary.BigEndian.Uint32(e[8:]) || i >= h.spec.Chunks() {
			break
		}
		n, _ := h.data.ReadAt(chunk[:h.spec.ChunkSize(i)], h.spec.Offset(i))
		if n == h.spec.ChunkSize(i) && crc32.Checksum(chunk[:n], castagnoli) == binary.BigEndian.Uint32(e[4:]) {
			h.have.Add(i)
		}
	}
	return nil
}

// WriteAt stores a chunk that was verified.
func (h *shelf) WriteAt(p []byte, at int64) (int, error) {
	n, err := h.data.WriteAt(p, at)
	if err != nil {
		return n, err
	}
	i := int(at >> h.spec.Chunk)
	e := binary.BigEndian.AppendUint32(nil, uint32(i))
	e = binary.BigEndian.AppendUint32(e, crc32.Checksum(p, castagnoli))
	h.fresh = binary.BigEndian.AppendUint32(append(h.fresh, e...), crc32.Checksum(e, castagnoli))
	h.stored += int64(n)
	return n, nil
}

// full reports whether it is time to commit.
func (h *shelf) full() bool { return h.stored >= commitBytes }

// commit makes what was stored outlast a power cut.
func (h *shelf) commit() error {
	if len(h.fresh) == 0 {
		return nil
	}
	if err := h.data.Sync(); err != nil {
		return fmt.Errorf("store download: %w", err)
	}
	if _, err := h.journal.WriteAt(h.fresh, h.end); err != nil {
		return fmt.Errorf("store download: %w", err)
	}
	if err := h.journal.Sync(); err != nil {
		return fmt.Errorf("store download: %w", err)
	}
	h.end += int64(len(h.fresh))
	h.fresh, h.stored = h.fresh[:0], 0
	return nil
}

func (h *shelf) close() error {
	return errors.Join(h.commit(), h.data.Close(), h.journal.Close())
}
