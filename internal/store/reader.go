package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// A Reader reads rows. It is as short-lived as the context in it.
type Reader struct {
	ctx context.Context
	q   querier
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// A pool is a querier that prepares each statement once.
type pool struct{ db *DB }

func (p pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func (p pool) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := p.db.stmts.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := p.db.read.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, ok := p.db.stmts.LoadOrStore(query, s); ok {
		s.Close()
		return first.(*sql.Stmt), nil
	}
	return s, nil
}

// row scans the only row of a query, or returns ErrNotFound.
func (r Reader) row(query string, args []any, dst ...any) error {
	rows, err := r.q.QueryContext(r.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return errors.Join(rows.Err(), notFound(rows))
	}
	if err := rows.Scan(dst...); err != nil {
		return err
	}
	return rows.Close()
}

func notFound(rows *sql.Rows) error {
	if rows.Err() != nil {
		return nil
	}
	return ErrNotFound
}

// collect scans every row of a query. The query has a LIMIT, or its table is
// bounded by who writes it.
func collect[T any](r Reader, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := r.q.QueryContext(r.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

type scanner interface{ Scan(dst ...any) error }

func args(a ...any) []any { return a }

func wrap(act string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", act, err)
}
