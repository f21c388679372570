package agent

import (
	"context"
	"errors"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/link"
)

// errNoServer is what a device without a server's address gets.
var errNoServer = errors.New("no server is configured; run moult-agent setup")

// away is a server that cannot be reached.
type away struct{}

func (away) Authenticate(context.Context) error { return errNoServer }
func (away) Next(context.Context, fleet.Report) (link.Offer, error) {
	return link.Offer{}, errNoServer
}
func (away) Progress(context.Context, fleet.Progress) error        { return errNoServer }
func (away) Describe(context.Context, inventory.Attributes) error  { return errNoServer }
func (away) Log(context.Context, deployment.ID, []link.Line) error { return errNoServer }
func (away) Open(context.Context, string, int64) (link.Stream, error) {
	return link.Stream{}, errNoServer
}
