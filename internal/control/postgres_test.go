package control_test

import (
	"testing"

	"github.com/moult-ota/moult/internal/store"
	"github.com/moult-ota/moult/internal/store/postgres"
	"github.com/moult-ota/moult/internal/store/storetest"
)

func TestPostgres(t *testing.T) {
	server := storetest.StartPostgres(t)
	open := func(t *testing.T, dsn string) *store.DB {
		db, err := postgres.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	t.Run("story", func(t *testing.T) { story(t, fixtureOn(t, open(t, server.DSN(t)))) })
	t.Run("random operations", func(t *testing.T) { randomOperations(t, fixtureOn(t, open(t, server.DSN(t))), 1, 150) })
	t.Run("servers follow each other", func(t *testing.T) {
		dsn := server.DSN(t)
		serversFollow(t, func() *store.DB { return open(t, dsn) })
	})
}
