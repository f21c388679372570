// Package mender is the door for devices that speak Mender's device API over
// HTTP: Mender's clients, and our own agent. It authenticates bytes and asks
// fleet.Core; it keeps nothing. Package menderapi holds the bytes.
//
// Deadlines for slow bodies and slow readers are the HTTP server's part.
package mender

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// MinSecret bounds Options.Secret from below, in bytes.
const MinSecret = 32

// Options say how to serve. Core and Secret are required.
type Options struct {
	Core   fleet.Core
	Secret []byte // keys of tokens and links come from it; the same on every server of a fleet

	// BaseURL begins the links to artifacts, as in "https://ota.example.com".
	// Empty takes scheme and host from each request.
	BaseURL string
	// TrustProxy believes X-Forwarded-Proto and X-Forwarded-Host.
	TrustProxy bool

	TokenTTL time.Duration // 0 means a week
	// LinkTTL is how long a link to an artifact is good; 0 means 48 hours.
	// Clients ask for no other link, so it bounds a download with all retries.
	LinkTTL time.Duration

	Requests   int           // at once; 0 means 1024
	Downloads  int           // at once; 0 means 1024
	PerDevice  int           // of each, at once; 0 means 8
	RetryAfter time.Duration // told to devices above these bounds; 0 means 30 s

	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil discards
}

func (o Options) withDefaults() Options {
	o.BaseURL = strings.TrimSuffix(o.BaseURL, "/")
	o.TokenTTL = or(o.TokenTTL, 7*24*time.Hour)
	o.LinkTTL = or(o.LinkTTL, 48*time.Hour)
	o.Requests = or(o.Requests, 1024)
	o.Downloads = or(o.Downloads, 1024)
	o.PerDevice = or(o.PerDevice, 8)
	o.RetryAfter = or(o.RetryAfter, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func or[T comparable](v, zeroMeans T) T {
	var zero T
	if v == zero {
		return zeroMeans
	}
	return v
}

type frontEnd struct {
	Options
	tokens     tokens
	links      *seal
	enrolments *guard
	requests   *guard
	downloads  *guard
	ids        *requestIDs
}

// New returns the handler for every path of the device API; all of them begin
// with /api/devices/.
func New(o Options) (http.Handler, error) {
	if o.Core == nil {
		return nil, errors.New("serve mender devices: no core")
	}
	if len(o.Secret) < MinSecret {
		return nil, fmt.Errorf("serve mender devices: secret of %d bytes, at least %d", len(o.Secret), MinSecret)
	}
	o = o.withDefaults()
	f := &frontEnd{
		Options:    o,
		tokens:     tokens{newSeal(o.Secret, "device token"), o.TokenTTL},
		links:      newSeal(o.Secret, "artifact link"),
		enrolments: newGuard(o.Requests, o.Requests), // who asks is not known yet
		requests:   newGuard(o.Requests, o.PerDevice),
		downloads:  newGuard(o.Downloads, o.PerDevice),
		ids:        newRequestIDs(),
	}
	return f.routes(), nil
}

func (f *frontEnd) routes() http.Handler {
	const v1, v2 = "/api/devices/v1/deployments/device/deployments/", "/api/devices/v2/deployments/device/deployments/"
	mux := http.NewServeMux()
	mux.Handle("POST "+menderapi.AuthPath, f.answer(f.enroll))
	mux.Handle("POST "+menderapi.NextPath, f.device(f.nextV2))
	mux.Handle("POST "+menderapi.NextV1Path, f.device(f.nextV1))
	mux.Handle("GET "+menderapi.NextV1Path, f.device(f.nextQuery))
	mux.Handle("PUT "+v1+"{id}/status", f.device(f.status))
	mux.Handle("PUT "+v1+"{id}/log", f.device(f.log))
	mux.Handle("GET "+v2+"{id}/update_control_map", f.device(f.controlMap))
	mux.Handle("PUT "+menderapi.InventoryPath, f.device(f.replaceInventory))
	mux.Handle("PATCH "+menderapi.InventoryPath, f.device(f.addInventory))
	mux.Handle("GET "+linkPath+"{deployment}/{device}", f.answer(f.artifact))
	mux.Handle("/", f.answer(func(http.ResponseWriter, *http.Request) error { return errPath }))
	return mux
}

// An action serves one request; what it returns becomes the error answer,
// so it writes nothing before it can fail no more.
type action func(http.ResponseWriter, *http.Request) error

// A deviceAction serves a request of an accepted device.
type deviceAction func(http.ResponseWriter, *http.Request, device.ID) error

// device lets requests with a good token through.
func (f *frontEnd) device(do deviceAction) http.Handler {
	return f.answer(func(w http.ResponseWriter, r *http.Request) error {
		id, err := f.tokens.check(bearer(r.Header), f.Now())
		if err != nil {
			return err
		}
		if !f.requests.enter(id) {
			return fleet.ErrBusy
		}
		defer f.requests.leave(id)
		return do(w, r, id)
	})
}
