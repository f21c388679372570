package store

import "time"

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
