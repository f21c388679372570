package gateway

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/gateway/upstream"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/install/mcu"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/update"
	"github.com/moult-ota/moult/internal/version"
)

// agent assembles a child's agent. patient is how long it waits for another
// program at work on the child; 0 means for ever.
func (g *Gateway) agent(ctx context.Context, k *Child, log *slog.Logger, patient time.Duration) (*agent.Agent, error) {
	folder := k.folder(g.c)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make child's folder: %w", err)
	}
	b := &bus{k: k, folder: folder}
	lock := agent.LockFile(filepath.Join(folder, "lock"), patient)
	o := agent.Options{
		DeviceType: k.DeviceType, Verifiers: g.keys,
		Record: agent.FileStore(filepath.Join(folder, "record.json")), LogFile: agent.FileStore(filepath.Join(folder, "update.log")),
		Health: b.selfTest, Extra: func() inventory.Attributes { return g.attributes(b) },
		Poll: g.c.Poll, Inventory: g.c.Inventory, Retry: g.c.Retry, RetryMax: g.c.RetryMax, Trial: or(k.Trial, g.c.Trial), Log: log,
	}
	o.Lock = func(ctx context.Context) (func(), error) {
		unlock, err := lock(ctx)
		if err != nil {
			return nil, err
		}
		k.correct(ctx, b, o.Record, log)
		return func() { b.Close(); unlock() }, nil // others may have the bus while nothing is under way
	}
	maker, err := g.maker(k, b)
	if err != nil {
		return nil, err
	}
	o.Installers = map[string]agent.Maker{mcu.PayloadType: maker}
	if err := g.introduce(&o, k); err != nil {
		return nil, err
	}
	if o.Provides, err = g.provides(ctx, k, b, o); err != nil {
		return nil, err
	}
	return agent.New(o)
}

func (k *Child) folder(c *Config) string { return filepath.Join(c.StateDir, "children", k.ID) }

// maker says how the child's images are installed.
func (g *Gateway) maker(k *Child, b *bus) (agent.Maker, error) {
	keys, err := k.imageKeys()
	if err != nil {
		return nil, err
	}
	class, err := k.classID()
	if err != nil {
		return nil, err
	}
	return func(note func(level, message string)) install.Installer {
		return &mcu.Installer{
			Child: b, Shelf: mcu.File(filepath.Join(b.folder, "image.bin")), Keys: keys, Room: k.Room, ClassID: class,
			Newer: k.RefuseOlder, Away: k.Away, Settle: k.Settle, Note: note,
		}
	}, nil
}

// introduce says who the child is, and how its server is reached.
func (g *Gateway) introduce(o *agent.Options, k *Child) (err error) {
	text, err := json.Marshal(map[string]string{"gateway": g.c.ID, "child": k.ID})
	if err != nil {
		return err
	}
	if o.Identity, err = device.ParseIdentity(string(text)); err != nil || g.proxy == nil {
		return err
	}
	if o.Key, err = agent.DeviceKey(filepath.Join(k.folder(g.c), "device.key")); err != nil {
		return err
	}
	o.Servers, o.Token, o.Transport = []string{upstream.Inside}, g.c.Token, g.proxy.Inward()
	return nil
}

// provides is what a child provides that was never updated here: the version
// that it says it runs. It is asked until it answers once.
func (g *Gateway) provides(ctx context.Context, k *Child, b *bus, o agent.Options) (update.Provides, error) {
	text, err := o.Record.Load()
	if err != nil {
		return nil, err
	}
	if r, err := update.Decode(text); err == nil && r.Provides() != nil {
		return r.Provides(), nil
	}
	for n := 1; ; n++ {
		s, err := g.look(ctx, o, b)
		if err == nil {
			return k.provides(s), nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		o.Log.Warn("child has not answered yet; it enrols when it does", "error", err)
		if err := link.Sleep(ctx, link.Backoff(n, g.c.Retry, g.c.RetryMax)); err != nil {
			return nil, err
		}
	}
}

// look asks for a child's state, outside of an update.
func (g *Gateway) look(ctx context.Context, o agent.Options, b *bus) (child.State, error) {
	unlock, err := o.Lock(ctx)
	if err != nil {
		return child.State{}, err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, stateTime)
	defer cancel()
	return b.State(ctx)
}

// attributes are a child's inventory beside what it provides: who serves it,
// and what its slots have.
func (g *Gateway) attributes(b *bus) inventory.Attributes {
	all := inventory.Attributes{
		"gateway": g.c.ID, "child": b.k.ID, "driver": b.k.Driver, "address": b.k.Address, "moult_gateway_version": version.Version,
	}
	ctx, cancel := context.WithTimeout(context.Background(), stateTime)
	defer cancel()
	s, err := b.State(ctx)
	if err != nil {
		all["child_state"] = "away"
		if !errors.Is(err, child.ErrAway) {
			all["child_state"] = "error: " + err.Error()
		}
		return all
	}
	all["child_state"] = "running"
	all["running_version"], all["running_slot"] = s.Running.Version.String(), tell(s.Running)
	if s.Other.Hash != nil {
		all["other_slot"] = tell(s.Other)
	}
	return all
}

// tell is a slot in one line.
func tell(s child.Slot) string {
	text := s.Version.String()
	if s.Hash != nil {
		text += " " + hex.EncodeToString(s.Hash[:min(len(s.Hash), 8)])
	}
	if s.Confirmed {
		text += " confirmed"
	}
	if s.Pending {
		text += " pending"
	}
	return text
}

func or[T comparable](v, zeroMeans T) T {
	var zero T
	if v == zero {
		return zeroMeans
	}
	return v
}
