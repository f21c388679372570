package store

import "time"

// Secret returns the value kept under name.
func (r Reader) Secret(name string) (value []byte, err error) {
	err = r.row(`SELECT value FROM secret WHERE name = $1`, args(name), &value)
	return value, err
}

// PutSecret keeps a value under name, in place of an earlier one.
func (t *Tx) PutSecret(name string, value []byte) error {
	return t.exec("store secret", `INSERT INTO secret (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
}

// An Answer is what a request was answered, kept to answer its repetition.
type Answer struct {
	Key    string
	Hash   string // of the request
	Status int    // 0 while the request runs
	Body   []byte
	At     time.Time
}

// Answer returns the answer kept under key.
func (r Reader) Answer(key string) (a Answer, err error) {
	var at int64
	a.Key = key
	err = r.row(`SELECT hash, status, body, at FROM idempotency WHERE key = $1`, args(key), &a.Hash, &a.Status, &a.Body, &at)
	a.At = fromMicros(at)
	return a, err
}

// PutAnswer keeps an answer, in place of an earlier one.
func (t *Tx) PutAnswer(a Answer) error {
	body := a.Body
	if body == nil {
		body = []byte{}
	}
	return t.exec("store answer", `INSERT INTO idempotency (key, hash, status, body, at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (key) DO UPDATE SET hash = excluded.hash, status = excluded.status, body = excluded.body, at = excluded.at`,
		a.Key, a.Hash, a.Status, body, micros(a.At))
}

// DeleteAnswer forgets the answer kept under key.
func (t *Tx) DeleteAnswer(key string) error {
	return t.exec("delete answer", `DELETE FROM idempotency WHERE key = $1`, key)
}

// ForgetAnswers deletes up to limit answers from before at.
func (t *Tx) ForgetAnswers(before time.Time, limit int) (int, error) {
	return t.count("forget answers", `DELETE FROM idempotency WHERE key IN
		(SELECT key FROM idempotency WHERE at < $1 ORDER BY at LIMIT $2)`, micros(before), limit)
}
