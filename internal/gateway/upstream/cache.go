package upstream

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/link"
)

// part ends the name of an artifact that is not complete.
const part = ".part"

// A cache keeps artifacts by their SHA-256. One that is not complete is
// downloaded once, for all who read it:
//
//	uplink ──► HASH.part ──► readers, as it grows
//	               └─ complete, and its sum is HASH ──► HASH
//
// Its last bytes are given out only after that, so nobody gets all of
// something else.
type cache struct {
	folder string
	most   int64
	opener link.Opener
	log    *slog.Logger

	mu      sync.Mutex
	entries map[string]*entry
	used    int64           // bytes, those included that are still to come
	ctx     context.Context // of the downloads
	cancel  context.CancelFunc
	fills   sync.WaitGroup
}

// An entry is one artifact.
type entry struct {
	sum     string
	size    int64
	have    int64 // bytes that are there
	whole   bool  // and they are the right ones
	err     error // why no more come; nil while they do
	uri     string
	filling bool
	readers int
	last    time.Time     // that it was opened
	grown   chan struct{} // closed when anything above changes
}

// holdBack is what nobody gets of an artifact whose sum is not known to be
// right, in bytes.
const holdBack = 4 << 10

// errRoom: it does not fit beside what is in use.
var errRoom = errors.New("no room in the cache")

func openCache(folder string, most int64, opener link.Opener, log *slog.Logger) (*cache, error) {
	c := &cache{folder: folder, most: most, opener: opener, log: log, entries: map[string]*entry{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	for _, f := range files {
		sum, incomplete := strings.CutSuffix(f.Name(), part)
		fi, err := f.Info()
		if raw, bad := hex.DecodeString(sum); err != nil || bad != nil || len(raw) != 32 {
			os.Remove(filepath.Join(folder, f.Name()))
			continue
		}
		c.entries[sum] = &entry{sum: sum, size: fi.Size(), have: fi.Size(), whole: !incomplete, last: fi.ModTime(), grown: make(chan struct{})}
		c.used += fi.Size()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.evict(0)
	return c, nil
}

// stop ends the downloads. What is there of them stays.
func (c *cache) stop() {
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	c.fills.Wait()
}

// has reports whether all of an artifact is here.
func (c *cache) has(sum string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[sum]
	return ok && e.whole
}

// open returns a reader of an artifact, and begins to download it when that is
// needed.
func (c *cache) open(ctx context.Context, o offer) (*reader, error) {
	if o.SHA256 == "" {
		return nil, errors.New("the server does not say its sum and size")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, known := c.entries[o.SHA256]
	if !known {
		if !c.evict(o.Size) {
			return nil, fmt.Errorf("%w: %d bytes, %d of %d are taken", errRoom, o.Size, c.used, c.most)
		}
		e = &entry{sum: o.SHA256, size: o.Size, grown: make(chan struct{})}
		c.entries[o.SHA256] = e
		c.used += e.size
	}
	if !e.whole {
		if err := c.begin(e, o); err != nil {
			return nil, err
		}
	}
	path := filepath.Join(c.folder, e.sum)
	if !e.whole {
		path += part
	}
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	e.readers++
	e.last = time.Now()
	if e.whole {
		_ = os.Chtimes(path, e.last, e.last) // the order of use, over a restart
	}
	return &reader{c: c, e: e, f: f, ctx: ctx, size: e.size}, nil
}

// begin sees to it that an entry is being downloaded.
func (c *cache) begin(e *entry, o offer) error {
	if c.ctx.Err() != nil {
		return errors.New("the cache is closed")
	}
	if e.size != o.Size {
		if e.filling {
			return errors.New("the server says two sizes of one artifact")
		}
		e.readers++ // it is not to make room for itself
		room := c.evict(max(o.Size-e.size, 0))
		e.readers--
		if !room {
			return fmt.Errorf("%w: %d bytes, %d of %d are taken", errRoom, o.Size, c.used, c.most)
		}
	}
	c.used += o.Size - e.size
	e.size, e.uri = o.Size, o.URI
	if !e.filling {
		e.filling, e.err = true, nil
		c.fills.Go(func() { c.fill(c.ctx, e) })
	}
	return nil
}

// evict makes room for more bytes, and reports whether there is. The oldest
// that nobody reads goes first.
func (c *cache) evict(more int64) bool {
	if more > c.most {
		return false
	}
	for c.used+more > c.most {
		var oldest *entry
		for _, e := range c.entries {
			if e.readers == 0 && !e.filling && (oldest == nil || e.last.Before(oldest.last)) {
				oldest = e
			}
		}
		if oldest == nil {
			return false
		}
		c.log.Info("artifact evicted", "sha256", oldest.sum, "bytes", oldest.size)
		c.forget(oldest)
	}
	return true
}

func (c *cache) forget(e *entry) {
	os.Remove(filepath.Join(c.folder, e.sum))
	os.Remove(filepath.Join(c.folder, e.sum+part))
	if c.entries[e.sum] == e {
		delete(c.entries, e.sum)
		c.used -= e.size
	}
}

// change edits an entry, and wakes its readers.
func (c *cache) change(e *entry, edit func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	edit()
	close(e.grown)
	e.grown = make(chan struct{})
}

// A reader reads an artifact, and waits for bytes that are still to come.
type reader struct {
	c    *cache
	e    *entry
	f    *os.File
	ctx  context.Context
	size int64
	at   int64
	once sync.Once
}

func (r *reader) Read(p []byte) (int, error) {
	if r.at >= r.size {
		return 0, io.EOF
	}
	for {
		ready, grown, err := r.ready()
		if r.at < ready {
			n, err := r.f.ReadAt(p[:min(int64(len(p)), ready-r.at)], r.at)
			r.at += int64(n)
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		if err != nil {
			return 0, err
		}
		select {
		case <-grown:
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
}

// begun waits until there is something to read, and returns why nothing comes.
func (r *reader) begun(ctx context.Context) error {
	for {
		ready, grown, err := r.ready()
		if ready > 0 || err != nil {
			return err
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ready is how far it can be read, and what to wait for after that.
func (r *reader) ready() (int64, <-chan struct{}, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if r.e.whole {
		return r.size, nil, nil
	}
	return min(r.e.have, r.size-holdBack), r.e.grown, r.e.err
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the first byte")
	}
	r.at = offset
	return offset, nil
}

func (r *reader) Close() error {
	r.once.Do(func() {
		r.c.mu.Lock()
		r.e.readers--
		r.c.mu.Unlock()
	})
	return r.f.Close()
}
