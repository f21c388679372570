package store

import "time"

// A Tx reads and writes inside one Update.
type Tx struct {
	Reader
	w *writer
	n int64 // the counter: grows with every change that others may follow
}

// Next counts up and returns the counter. No two transactions return the same
// number, and a later one returns a greater.
func (t *Tx) Next() int64 {
	t.n++
	return t.n
}

func (t *Tx) exec(act, query string, args ...any) error {
	return wrap(act, t.w.exec(t.ctx, query, args...))
}

// count runs a statement and returns how many rows it changed.
func (t *Tx) count(act, query string, args ...any) (int, error) {
	res, err := t.w.result(t.ctx, query, args...)
	if err != nil {
		return 0, wrap(act, err)
	}
	n, err := res.RowsAffected()
	return int(n), wrap(act, err)
}

// Times are kept as microseconds since 1970; 0 is the zero time.

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
