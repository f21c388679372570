package store

import (
	"encoding/json"
	"time"
)

// An EnrolmentToken lets devices in without an operator's hand.
type EnrolmentToken struct {
	ID        string
	Name      string
	Uses      int // devices it may let in; 0 means any number
	Used      int
	ExpiresAt time.Time // zero for never
	CreatedAt time.Time
}

// A Token lets an operator, or a program, use the API.
type Token struct {
	ID        string
	Name      string
	Scopes    []string
	ExpiresAt time.Time // zero for never
	CreatedAt time.Time
}

// MaxTokens bounds how many tokens of one kind are kept.
const MaxTokens = 1000

const enrolmentColumns = `SELECT id, name, uses, used, expires_at, created_at FROM enrolment_token `

func scanEnrolmentToken(s scanner) (e EnrolmentToken, err error) {
	var expires, created int64
	err = s.Scan(&e.ID, &e.Name, &e.Uses, &e.Used, &expires, &created)
	e.ExpiresAt, e.CreatedAt = fromMicros(expires), fromMicros(created)
	return e, err
}

// EnrolmentTokens returns all enrolment tokens, oldest first.
func (r Reader) EnrolmentTokens() ([]EnrolmentToken, error) {
	return collect(r, scanEnrolmentToken, enrolmentColumns+`ORDER BY id LIMIT $1`, MaxTokens)
}

// EnrolmentToken returns the token whose secret has this hash.
func (r Reader) EnrolmentToken(hash string) (EnrolmentToken, error) {
	return one(collect(r, scanEnrolmentToken, enrolmentColumns+`WHERE hash = $1`, hash))
}

// InsertEnrolmentToken stores a token under the hash of its secret.
func (t *Tx) InsertEnrolmentToken(e EnrolmentToken, hash string) error {
	return t.exec("store enrolment token", `INSERT INTO enrolment_token (id, name, hash, uses, used, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, e.ID, e.Name, hash, e.Uses, e.Used, micros(e.ExpiresAt), micros(e.CreatedAt))
}

// UseEnrolmentToken counts one device that the token let in.
func (t *Tx) UseEnrolmentToken(id string) error {
	return t.exec("use enrolment token", `UPDATE enrolment_token SET used = used + 1 WHERE id = $1`, id)
}

// DeleteEnrolmentToken returns how many tokens it deleted, 0 or 1.
func (t *Tx) DeleteEnrolmentToken(id string) (int, error) {
	return t.count("delete enrolment token", `DELETE FROM enrolment_token WHERE id = $1`, id)
}

const tokenColumns = `SELECT id, name, scopes, expires_at, created_at FROM token `

func scanToken(s scanner) (k Token, err error) {
	var expires, created int64
	var scopes string
	if err := s.Scan(&k.ID, &k.Name, &scopes, &expires, &created); err != nil {
		return k, err
	}
	k.ExpiresAt, k.CreatedAt = fromMicros(expires), fromMicros(created)
	return k, json.Unmarshal([]byte(scopes), &k.Scopes)
}

// Tokens returns all tokens, oldest first.
func (r Reader) Tokens() ([]Token, error) {
	return collect(r, scanToken, tokenColumns+`ORDER BY id LIMIT $1`, MaxTokens)
}

// Token returns the token whose secret has this hash.
func (r Reader) Token(hash string) (Token, error) {
	return one(collect(r, scanToken, tokenColumns+`WHERE hash = $1`, hash))
}

// InsertToken stores a token under the hash of its secret.
func (t *Tx) InsertToken(k Token, hash string) error {
	scopes, err := json.Marshal(k.Scopes)
	if err != nil {
		return err
	}
	return t.exec("store token", `INSERT INTO token (id, name, hash, scopes, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, k.ID, k.Name, hash, string(scopes), micros(k.ExpiresAt), micros(k.CreatedAt))
}

// DeleteToken returns how many tokens it deleted, 0 or 1.
func (t *Tx) DeleteToken(id string) (int, error) {
	return t.count("delete token", `DELETE FROM token WHERE id = $1`, id)
}
