package control

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// Limits of one part of a list.
const (
	defaultLimit = 50
	maxLimit     = 500
)

// A Page asks for a part of a list.
type Page struct {
	Limit  int    // 1 to 500; 0 means 50
	Cursor string // List.Next of the part before; empty for the first
}

// A List is a part of a list. It may be shorter than asked for, even empty,
// while Next says that more follows: a filter looks at a bounded number of
// devices per call.
type List[T any] struct {
	Items []T
	Next  string // cursor of the next part; empty for the last
}

func (p Page) limit() (int, error) {
	if p.Limit < 0 || p.Limit > maxLimit {
		return 0, fmt.Errorf("%w limit %d, want 1 to %d", ErrInvalid, p.Limit, maxLimit)
	}
	return or(p.Limit, defaultLimit), nil
}

// key returns the place that the cursor names in a list of one kind.
func (p Page) key(kind byte) (string, error) {
	if p.Cursor == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil || len(raw) < 2 || len(raw) > 100 || raw[0] != kind {
		return "", fmt.Errorf("%w cursor; pass the one from the list before, or none", ErrInvalid)
	}
	return string(raw[1:]), nil
}

// number is key for lists that are ordered by a counter.
func (p Page) number(kind byte) (int64, error) {
	key, err := p.key(kind)
	if err != nil || key == "" {
		return 0, err
	}
	n, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w cursor", ErrInvalid)
	}
	return n, nil
}

func cursor(kind byte, key string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{kind}, key...))
}

// page makes a List of up to limit of items, which were read with one more
// than limit, so that the last part is known to be the last.
func page[T any](items []T, limit int, kind byte, key func(T) string) List[T] {
	if len(items) <= limit {
		return List[T]{Items: items}
	}
	items = items[:limit]
	return List[T]{Items: items, Next: cursor(kind, key(items[limit-1]))}
}
