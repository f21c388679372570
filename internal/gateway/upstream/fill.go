package upstream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/moult-ota/moult/internal/link"
)

// Patience with the uplink.
const (
	fillTries = 30 // connections in a row without a byte
	fillRetry = time.Second
	fillMax   = time.Minute
)

// errSum: what came is not what the server promised.
var errSum = errors.New("what the server sent is not what it promised")

// fill downloads an entry, from where an earlier run ended.
func (c *cache) fill(ctx context.Context, e *entry) {
	path := filepath.Join(c.folder, e.sum+part)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = c.download(ctx, e, f)
		err = errors.Join(err, f.Close())
	}
	if errors.Is(err, errSum) {
		os.Remove(path)
	}
	c.change(e, func() {
		if err == nil { // here, so that nobody opens the file by the name that it had
			err = os.Rename(path, filepath.Join(c.folder, e.sum))
		}
		e.filling, e.err = false, err
		if err == nil {
			e.whole, e.last = true, time.Now()
		}
		if errors.Is(err, errSum) {
			c.forget(e)
		}
	})
	if err != nil {
		c.log.Warn("download for the LAN", "sha256", e.sum, "error", err)
		return
	}
	c.log.Info("artifact is here", "sha256", e.sum, "bytes", e.size)
}

// download appends to f until the entry is complete, and checks its sum.
func (c *cache) download(ctx context.Context, e *entry, f *os.File) error {
	sum := sha256.New()
	have, err := io.Copy(sum, io.LimitReader(f, e.size))
	if err != nil {
		return err
	}
	c.change(e, func() { e.have = have })
	for failures := 0; have < e.size; {
		n, err := c.connection(ctx, e, f, sum, have)
		if have += n; n > 0 {
			failures = 0
		}
		if have == e.size {
			break
		}
		failures++
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		if ctx.Err() != nil || final(err) || failures == fillTries {
			return err
		}
		if err := link.Sleep(ctx, link.Backoff(failures, fillRetry, fillMax)); err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != e.sum {
		return fmt.Errorf("%w: SHA-256 %s, not %s", errSum, got, e.sum)
	}
	return f.Sync()
}

// final reports an error that another connection would end with as well.
func final(err error) bool {
	for _, end := range []error{errSum, link.ErrExpired, link.ErrCanceled, link.ErrNotFound, link.ErrUnauthorized} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// connection reads what one connection gives, and returns how many bytes.
func (c *cache) connection(ctx context.Context, e *entry, f *os.File, sum hash.Hash, have int64) (n int64, err error) {
	c.mu.Lock()
	uri, size := e.uri, e.size // a device that asked anew has a fresh address
	c.mu.Unlock()
	s, err := c.opener.Open(ctx, uri, have)
	if err != nil {
		return 0, err
	}
	defer s.Body.Close()
	if s.Total >= 0 && s.Total != size {
		return 0, fmt.Errorf("%w: %d bytes, not %d", errSum, s.Total, size)
	}
	buf := make([]byte, 64<<10)
	for have+n < size {
		k, err := s.Body.Read(buf[:min(int64(len(buf)), size-have-n)])
		if k > 0 {
			if _, err := f.WriteAt(buf[:k], have+n); err != nil {
				return n, err
			}
			sum.Write(buf[:k])
			n += int64(k)
			c.change(e, func() { e.have = have + n })
		}
		if err != nil && k == 0 {
			return n, err
		}
	}
	return n, nil
}
