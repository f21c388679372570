package control

import (
	"context"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/store"
)

// MaxActive bounds the deployments that are active at once.
const MaxActive = 500

// A snapshot is the active deployments as they were in an epoch.
type snapshot struct {
	epoch  uint32
	offers []offer // oldest first
}

// An offer is an active deployment with what its devices may get.
type offer struct {
	store.Deployment
	artifacts []store.Artifact
}

// active returns the active deployments, read again if they changed.
func (c *Control) active(ctx context.Context) (*snapshot, error) {
	if s := c.snapshot.Load(); s != nil && s.epoch == c.epoch.Load() {
		return s, nil
	}
	c.loading.Lock()
	defer c.loading.Unlock()
	epoch := c.epoch.Load() // before reading: a change meanwhile makes a newer one
	if s := c.snapshot.Load(); s != nil && s.epoch == epoch {
		return s, nil
	}
	s := &snapshot{epoch: epoch}
	err := c.DB.View(ctx, func(r store.Reader) (err error) {
		s.offers, err = offers(r)
		return err
	})
	if err != nil {
		return nil, wrap("read active deployments", err)
	}
	c.snapshot.Store(s)
	return s, nil
}

func offers(r store.Reader) ([]offer, error) {
	active, err := r.ActiveDeployments()
	if err != nil {
		return nil, err
	}
	artifacts := map[string][]store.Artifact{}
	all := make([]offer, len(active))
	for i, d := range active {
		if _, ok := artifacts[d.Release]; !ok {
			if artifacts[d.Release], err = r.Artifacts(d.Release); err != nil {
				return nil, err
			}
		}
		all[i] = offer{d, artifacts[d.Release]}
	}
	return all, nil
}

// concerns reports whether a device of that type can be in any of them,
// as far as that is known without a read.
func (s *snapshot) concerns(typ string) bool {
	for _, o := range s.offers {
		if o.Target.Kind != deployment.ByType || o.Target.Type == typ {
			return true
		}
	}
	return false
}
