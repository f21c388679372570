package control

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/store"
)

const (
	answersKept = 24 * time.Hour
	// runsAtMost is after what time a request that left no answer is taken for
	// lost, as when the server was killed, and may be done again.
	runsAtMost     = 5 * time.Minute
	maxKey         = 255     // bytes of an idempotency key
	maxAnswer      = 1 << 20 // bytes; a longer answer is given, but not kept
	serverFailures = 500     // statuses from here on are not kept
)

// Idempotent does a request once: with the same key and body, its answer is
// repeated for 24 hours. The same key with another body is ErrIdempotency; a
// request that still runs is ErrConflict. Failures of the server, an err
// among them, are not kept, so that the request may be tried again.
func (c *Control) Idempotent(ctx context.Context, key string, bodyHash []byte, do func() (status int, body []byte, err error)) (status int, body []byte, replayed bool, err error) {
	if key == "" || len(key) > maxKey {
		return 0, nil, false, fmt.Errorf("%w idempotency key: %d bytes, want 1 to %d", ErrInvalid, len(key), maxKey)
	}
	kept, err := c.claim(ctx, store.Answer{Key: key, Hash: hex.EncodeToString(bodyHash)})
	if err != nil {
		return 0, nil, false, err
	}
	if kept.Status != 0 {
		return kept.Status, kept.Body, true, nil
	}
	done := false
	defer func() {
		if !done { // also when do panics
			_ = c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.DeleteAnswer(key) })
		}
	}()
	status, body, err = do()
	if err != nil || status >= serverFailures || len(body) > maxAnswer {
		return status, body, false, err
	}
	kept.Status, kept.Body = status, body
	err = c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.PutAnswer(kept) })
	done = err == nil
	return status, body, false, wrap("keep answer", err)
}

// claim returns the answer that is kept, or one without a status that now is.
func (c *Control) claim(ctx context.Context, a store.Answer) (store.Answer, error) {
	a.At = c.Now()
	err := c.DB.Update(ctx, func(tx *store.Tx) error {
		was, err := tx.Answer(a.Key)
		age := a.At.Sub(was.At)
		switch {
		case errors.Is(err, store.ErrNotFound), err == nil && age > answersKept:
			return tx.PutAnswer(a)
		case err != nil:
			return err
		case was.Hash != a.Hash:
			return ErrIdempotency
		case was.Status != 0:
			a = was
			return nil
		case age < runsAtMost:
			return fmt.Errorf("%w: the first request with this key still runs", ErrConflict)
		}
		return tx.PutAnswer(a)
	})
	return a, err
}
