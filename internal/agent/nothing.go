package agent

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/moult-ota/moult/internal/install"
)

// nothing installs artifacts without a payload: they only set provides.
type nothing struct{}

func (nothing) Write(_ context.Context, p install.Payload) (install.Written, error) {
	f, err := p.Next()
	switch {
	case err == nil:
		return install.Written{}, fmt.Errorf("artifact without a payload type has a file %s", f.Name)
	case !errors.Is(err, io.EOF):
		return install.Written{}, err
	}
	return install.Written{Security: p.Security}, nil
}

func (nothing) Activate(context.Context, install.Written) (bool, error)         { return false, nil }
func (nothing) Verify(context.Context, install.Written) error                   { return nil }
func (nothing) Confirm(context.Context, install.Written) error                  { return nil }
func (nothing) RollBack(context.Context, install.Written, install.Reason) error { return nil }
func (nothing) Clean(context.Context) error                                     { return nil }
