package gateway

import (
	"context"
	"fmt"

	"github.com/moult-ota/moult/internal/agent"
)

// install installs an artifact on a child by hand.
func (p *program) install(ctx context.Context) error {
	err := p.with(ctx, func(a *agent.Agent) error {
		_, err := a.Install(ctx, p.args[1])
		return err
	})
	if err == nil {
		fmt.Fprintf(p.stdout, "It runs on trial. moult-gateway commit %s keeps it, moult-gateway rollback %s undoes it.\n", p.args[0], p.args[0])
	}
	return err
}

func (p *program) commit(ctx context.Context) error {
	err := p.with(ctx, func(a *agent.Agent) error { return a.Commit(ctx) })
	if err == nil {
		fmt.Fprintln(p.stdout, "The update is permanent.")
	}
	return err
}

func (p *program) rollBack(ctx context.Context) error {
	err := p.with(ctx, func(a *agent.Agent) error { return a.RollBack(ctx) })
	if err == nil {
		fmt.Fprintln(p.stdout, "The update is undone.")
	}
	return err
}

// with runs f on the agent of the child that is named first.
func (p *program) with(ctx context.Context, f func(*agent.Agent) error) error {
	k, err := p.config.child(p.args[0])
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	g, err := p.gateway()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, k.Away, fmt.Errorf("child %s does not answer", k.ID))
	defer cancel() // of the wait for a child that was never heard of
	a, err := g.agent(ctx, k, g.log, patience)
	if err != nil {
		return err
	}
	return f(a)
}
