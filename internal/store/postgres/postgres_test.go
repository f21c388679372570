package postgres_test

import (
	"testing"

	"github.com/moult-ota/moult/internal/store"
	"github.com/moult-ota/moult/internal/store/postgres"
	"github.com/moult-ota/moult/internal/store/storetest"
)

func TestStore(t *testing.T) {
	server := storetest.StartPostgres(t)
	storetest.Run(t, func(t testing.TB) storetest.Opener {
		dsn := server.DSN(t)
		return func(t testing.TB) (*store.DB, error) { return postgres.Open(t.Context(), dsn) }
	})
}
