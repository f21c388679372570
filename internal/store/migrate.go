package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"
)

// Migrations are numbered files of SQL, run once each and in order. A file
// that was released is never edited; the next one changes what it made.
//
//go:embed migrations/*.sql
var migrations embed.FS

const schemaTable = `CREATE TABLE IF NOT EXISTS schema_version (
	version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)`

// migrate runs the migrations that the database has not seen.
func (db *DB) migrate(ctx context.Context) error {
	steps, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		return err
	}
	w, err := newWriter(ctx, db.write)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer w.close()
	if err := db.migrateOn(ctx, w, steps); err != nil {
		_ = w.exec(ctx, `ROLLBACK`) // nothing to undo when BEGIN did not work
		return fmt.Errorf("bring schema up to date: %w", err)
	}
	return nil
}

func (db *DB) migrateOn(ctx context.Context, w *writer, steps []string) error {
	for _, begin := range []string{db.dialect.Begin, db.dialect.MigrateLock, schemaTable} {
		if begin == "" {
			continue
		}
		if err := w.exec(ctx, begin); err != nil {
			return err
		}
	}
	var version int
	r := Reader{ctx, w}
	if err := r.row(`SELECT COALESCE(MAX(version), 0) FROM schema_version`, nil, &version); err != nil {
		return err
	}
	if version > len(steps) {
		return fmt.Errorf("%w: it has version %d, this program knows %d; install the newer program again",
			ErrNewer, version, len(steps))
	}
	for i := version; i < len(steps); i++ {
		if err := db.step(ctx, w, i+1, steps[i]); err != nil {
			return fmt.Errorf("%s: %w", steps[i], err)
		}
	}
	return w.exec(ctx, `COMMIT`)
}

func (db *DB) step(ctx context.Context, w *writer, version int, file string) error {
	text, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	for _, stmt := range statements(db.dialect.translate(string(text))) {
		if err := w.exec(ctx, stmt); err != nil {
			return fmt.Errorf("%.60s: %w", stmt, err)
		}
	}
	return w.exec(ctx, `INSERT INTO schema_version (version, name, applied_at) VALUES ($1, $2, $3)`,
		version, file, time.Now().UnixMicro())
}

var word = regexp.MustCompile(`\{\{\w+\}\}`)

func (d Dialect) translate(text string) string {
	return word.ReplaceAllStringFunc(text, func(w string) string { return d.Words[w[2:len(w)-2]] })
}

var comment = regexp.MustCompile(`(?m)--.*$`)

func statements(text string) []string {
	var all []string
	for _, s := range strings.Split(comment.ReplaceAllString(text, ""), ";") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// PretendNewer makes the schema that of a later program; for suites.
func PretendNewer(ctx context.Context, db *DB) error {
	return db.Update(ctx, func(t *Tx) error {
		return t.exec("store version", `INSERT INTO schema_version (version, name, applied_at) VALUES (9999, 'later', 0)`)
	})
}
