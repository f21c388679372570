package api_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/moult-ota/moult/internal/server"
	"github.com/moult-ota/moult/internal/server/servertest"
	"github.com/moult-ota/moult/internal/store/storetest"
)

// TestOnPostgres tells the story of an update with `--database postgres://`.
func TestOnPostgres(t *testing.T) {
	var dir, name string
	if _, err := fmt.Sscanf(storetest.StartPostgres(t).DSN(t), "host=%s user=moult dbname=%s", &dir, &name); err != nil {
		t.Fatal(err)
	}
	address := "postgres://moult@/" + name + "?sslmode=disable&host=" + url.QueryEscape(dir)
	w := servertest.Start(t, func(o *server.Options) { o.Database = address })
	w.Release("r1", "rpi")
	d, id := w.Accepted("a")
	made := deploy(t, w, "r1", everyone)
	finish(t, d, success...)
	now := must(w.ShowDeployment(t.Context(), made.ID))(t)
	if now.Status != "finished" || now.Counts["done"] != 1 {
		t.Errorf("deployment = %+v, want it finished with one done", now)
	}
	restart(t, w)
	if steps := must(w.ListTransitions(t.Context(), made.ID, id))(t); len(steps.Items) != 5 {
		t.Errorf("%d steps after a restart, want 5", len(steps.Items))
	}
}
