package mender

import (
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet/fleettest"
	"github.com/moult-ota/moult/internal/frontend/frontendtest"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/menderdevice"
)

// A clock starts at a whole second and moves when told.
type clock struct{ passed atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2026, 11, 22, 7, 6, 55, 0, time.UTC).Add(time.Duration(c.passed.Load()))
}

func (c *clock) advance(d time.Duration) { c.passed.Add(int64(d)) }

var testSecret = []byte("0123456789abcdef0123456789abcdef")

func TestStory(t *testing.T) {
	frontendtest.Run(t, func(t *testing.T) frontendtest.World {
		w := newWorld(t, Options{})
		return frontendtest.World{
			Operator: w.fleet, Records: w.fleet, Advance: w.clock.advance,
			Grant: 7 * 24 * time.Hour, Link: 48 * time.Hour,
			Device: func(t *testing.T, identity device.Identity) frontendtest.Device {
				return menderdevice.New(t, w.url, identity)
			},
		}
	})
}

// A world is a front end over a fleet in memory.
type world struct {
	fleet *fleettest.Fleet
	clock *clock
	url   string
}

func newWorld(t testing.TB, o Options) *world {
	t.Helper()
	w := &world{clock: &clock{}}
	w.fleet = fleettest.New(w.clock.now)
	if o.Core == nil {
		o.Core = w.fleet
	}
	o.Secret, o.Now = testSecret, w.clock.now
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	w.url = srv.URL
	return w
}
