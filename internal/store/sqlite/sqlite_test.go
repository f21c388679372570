package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/moult-ota/moult/internal/store"
	"github.com/moult-ota/moult/internal/store/sqlite"
	"github.com/moult-ota/moult/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Opener {
		path := filepath.Join(t.TempDir(), "a fleet?#%41.db") // names that an URL would change
		return func(t testing.TB) (*store.DB, error) { return sqlite.Open(t.Context(), path) }
	})
}
