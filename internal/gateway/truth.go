package gateway

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"maps"

	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/slot"
	"github.com/moult-ota/moult/internal/update"
	"github.com/moult-ota/moult/mcuboot"
)

// provides is what a child provides of which only the slots are known.
func (k *Child) provides(s child.State) update.Provides {
	p := update.Provides{"artifact_name": "unknown", k.Software + ".version": s.Running.Version.String()}
	if s.Running.Hash != nil {
		p[k.Software+".hash"] = hex.EncodeToString(s.Running.Hash)
	}
	return p
}

// contradicts reports whether a child runs for good what a record does not
// know of: somebody else programmed it, or it came back with another image
// than it was last seen with.
func (k *Child) contradicts(s child.State, p update.Provides) bool {
	if s.Running.Hash != nil && !s.Running.Confirmed {
		return false // nobody knows yet what stays
	}
	if hash, err := hex.DecodeString(p[k.Software+".hash"]); err == nil && len(hash) > 0 && s.Running.Hash != nil {
		return !bytes.Equal(hash, s.Running.Hash)
	}
	v, err := mcuboot.ParseVersion(p[k.Software+".version"])
	is := s.Running.Version
	return err == nil && (v.Compare(is) != 0 || v.Build != is.Build && is.Build != 0)
}

// correct makes a record say what the child runs, while nothing is under way.
// The floors stay.
func (k *Child) correct(ctx context.Context, b *bus, record agent.Store, log *slog.Logger) {
	text, err := record.Load()
	if err != nil {
		return // the agent says so
	}
	r, err := update.Decode(text)
	if err != nil || r.Phase != update.Idle || r.Provides() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stateTime)
	defer cancel()
	s, err := b.State(ctx)
	if err != nil || !k.contradicts(s, r.Provides()) {
		return
	}
	log.Warn("child runs something that was not installed from here", "running", tell(s.Running), "recorded", r.Provides()[k.Software+".version"])
	r.Installed = maps.Clone(r.Installed)
	r.Installed[slot.None] = k.provides(s)
	if text, err = r.Encode(); err == nil {
		err = record.Save(text)
	}
	if err != nil {
		log.Error("correct the child's record", "error", err)
	}
}
