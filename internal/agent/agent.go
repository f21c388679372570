// Package agent runs the update engine on a device: it carries out what
// package update decides, over slots, boot register, installers and a link to
// the server.
package agent

import "context"

// An Agent is one boot of a device's updater.
type Agent struct{}

// New returns an agent for the boot that is running now.
func New(o Options) (*Agent, error) { panic("soon") }

// Run updates the device until ctx ends or a reboot is wanted (ErrReboot).
// It may be cut off anywhere; a new Agent on the same storage goes on.
func (a *Agent) Run(ctx context.Context) error { panic("soon") }
