package control

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/google/uuid"

	"github.com/moult-ota/moult/internal/blob"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

// accepted returns nil for a device that is accepted, without a read if it
// checked in before.
func (c *Control) accepted(ctx context.Context, id device.ID) error {
	key, err := uuid.Parse(string(id))
	if err != nil {
		return fleet.ErrUnauthorized
	}
	if _, ok, _ := c.memory.get(key, c.Now()); ok {
		return nil
	}
	d, err := c.DB.Read(ctx).Device(id)
	if err != nil || d.Status != device.Accepted {
		return unauthorized(err)
	}
	return nil
}

// Open implements fleet.Core.
func (c *Control) Open(ctx context.Context, id device.ID, d deployment.ID) (fleet.Content, error) {
	if err := c.accepted(ctx, id); err != nil {
		return nil, err
	}
	a, err := c.DB.Read(ctx).Assignment(d, id)
	switch {
	case err != nil:
		return nil, noAssignment(err)
	case a.State == deployment.Canceled:
		return nil, fleet.ErrCanceled
	case !begun(a.State):
		return nil, fleet.ErrNotFound
	}
	art, err := c.DB.Read(ctx).Artifact(a.Artifact)
	if err != nil {
		return nil, noAssignment(err)
	}
	r, _, err := c.Blobs.Open(ctx, art.SHA256)
	if err != nil {
		return nil, fmt.Errorf("open artifact %s: %w", art.ID, err)
	}
	return contentOf(r, artifactFor(art)), nil
}

type content struct {
	blob.Reader
	artifact fleet.Artifact
}

func (c content) Artifact() fleet.Artifact { return c.artifact }

// A file is content that the kernel can send to a socket by itself.
type file struct {
	*os.File
	artifact fleet.Artifact
}

func (f file) Artifact() fleet.Artifact { return f.artifact }

func contentOf(r blob.Reader, a fleet.Artifact) fleet.Content {
	if f, ok := r.(*os.File); ok {
		return file{f, a}
	}
	return content{r, a}
}

// Log implements fleet.Core.
func (c *Control) Log(ctx context.Context, id device.ID, d deployment.ID, log io.Reader) error {
	if err := c.accepted(ctx, id); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(log, fleet.MaxLog+1))
	switch {
	case err != nil:
		return wrap("read log", err)
	case len(text) > fleet.MaxLog:
		return fmt.Errorf("log of more than %d bytes: %w", fleet.MaxLog, fleet.ErrTooLarge)
	}
	return c.update(ctx, func(ch *change) error {
		if _, err := ch.Assignment(d, id); err != nil {
			return noAssignment(err)
		}
		return ch.PutLog(d, id, text, ch.at)
	})
}
