package agenttest

import (
	"context"

	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/deployment"
)

// The parts of a device, for tests of agents on other devices.

// NewPower returns a power supply that is cut at operation at (0: never).
func NewPower(at int, seed uint64) *Power { return newPower(at, seed) }

// Do counts an operation and carries it out, unless the power is gone.
func (p *Power) Do(kind string, op func()) error { return p.do(kind, op) }

// On begins a life, which stop ends.
func (p *Power) On(stop context.CancelFunc) { p.on(stop) }

// Off reports whether it was cut.
func (p *Power) Off() bool { return p.off }

// NewServer returns a server that hears when its deployment is done.
func NewServer(p *Power, d deployment.ID, done func()) *Server {
	return &Server{power: p, Deployment: d, done: done}
}

// NewStore returns a store that replaces its value atomically.
func NewStore(p *Power, kind string) agent.Store { return &store{power: p, kind: kind} }
