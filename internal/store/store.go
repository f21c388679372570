// Package store keeps what the fleet knows: devices, releases, deployments,
// operators. It holds one set of SQL text for every dialect; the dialects are
// packages below this one. It decides nothing: rules live in package control.
package store

// A DB is an open store. Its methods may be called from several goroutines.
type DB struct{}

// Close closes the store.
func (db *DB) Close() error { panic("soon") }
