package gateway

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/update"
)

// A picture is what show prints of a child.
type picture struct {
	ID         string          `json:"id"`
	DeviceType string          `json:"device_type"`
	Driver     string          `json:"driver"`
	Address    string          `json:"address"`
	State      string          `json:"state"` // running, away, busy, error
	Problem    string          `json:"problem,omitempty"`
	Running    *slotPicture    `json:"running,omitempty"`
	Other      *slotPicture    `json:"other,omitempty"`
	Provides   update.Provides `json:"provides,omitempty"`
	Record     update.Record   `json:"record"`
}

type slotPicture struct {
	Version   string `json:"version"`
	Hash      string `json:"hash,omitempty"`
	Confirmed bool   `json:"confirmed"`
	Pending   bool   `json:"pending"`
}

func pictureOf(s child.Slot) *slotPicture {
	return &slotPicture{s.Version.String(), hex.EncodeToString(s.Hash), s.Confirmed, s.Pending}
}

// show asks all children at once.
func (p *program) show(ctx context.Context) error {
	if err := p.config.Check(); err != nil {
		return err
	}
	all := make([]picture, len(p.config.Children))
	var wait sync.WaitGroup
	for n, k := range p.config.Children {
		wait.Go(func() { all[n] = p.look(ctx, k) })
	}
	wait.Wait()
	if p.json {
		e := json.NewEncoder(p.stdout)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"gateway": p.config.ID, "wire_name": p.config.wireName(), "children": all})
	}
	fmt.Fprintf(p.stdout, "gateway %s, %d children\n", p.config.ID, len(all))
	if name := p.config.wireName(); name != "" {
		fmt.Fprintf(p.stdout, "devices of the LAN that use MQTT name it in their identity: gateway=%s\n", name)
	}
	for _, pic := range all {
		pic.print(p.stdout)
	}
	return nil
}

// wireName is what brokers call the gateway; empty until it ran, or without a
// broker.
func (c *Config) wireName() string {
	path := filepath.Join(c.StateDir, "gateway.key")
	if _, err := os.Stat(path); err != nil || c.Broker == "" {
		return ""
	}
	key, err := agent.DeviceKey(path)
	if err != nil {
		return ""
	}
	name, _ := agent.WireName(key)
	return name
}

// glance is how long show waits for a child that a gateway is at work on.
const glance = time.Second

func (p *program) look(ctx context.Context, k *Child) picture {
	pic := picture{ID: k.ID, DeviceType: k.DeviceType, Driver: k.Driver, Address: k.Address}
	folder := k.folder(p.config)
	text, err := agent.FileStore(filepath.Join(folder, "record.json")).Load()
	if err == nil {
		pic.Record, err = update.Decode(text)
	}
	pic.Provides = pic.Record.Provides()
	if err == nil {
		err = pic.ask(ctx, k, folder)
	}
	if err != nil {
		pic.Problem = err.Error()
	}
	return pic
}

func (pic *picture) ask(ctx context.Context, k *Child, folder string) error {
	pic.State = "error"
	b := &bus{k: k, folder: folder}
	defer b.Close()
	if text, err := agent.FileStore(filepath.Join(folder, "record.json")).Load(); err == nil && text != nil {
		unlock, err := agent.LockFile(filepath.Join(folder, "lock"), glance)(ctx)
		if errors.Is(err, agent.ErrBusy) {
			pic.State = "busy"
			return nil
		}
		if err != nil {
			return err
		}
		defer unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, stateTime)
	defer cancel()
	s, err := b.State(ctx)
	if errors.Is(err, child.ErrAway) {
		pic.State = "away"
	}
	if err != nil {
		return err
	}
	pic.State, pic.Running = "running", pictureOf(s.Running)
	if s.Other.Hash != nil {
		pic.Other = pictureOf(s.Other)
	}
	return nil
}

func (pic picture) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s  %s  %s %s\n", pic.ID, pic.DeviceType, pic.Driver, pic.Address)
	fmt.Fprintf(w, "  state     %s\n", pic.State)
	for _, s := range []struct {
		name string
		*slotPicture
	}{{"runs", pic.Running}, {"beside it", pic.Other}} {
		if s.slotPicture != nil {
			fmt.Fprintf(w, "  %-9s %s %s confirmed=%v pending=%v\n", s.name, s.Version, s.Hash[:min(len(s.Hash), 16)], s.Confirmed, s.Pending)
		}
	}
	if name := pic.Provides["artifact_name"]; name != "" {
		fmt.Fprintf(w, "  artifact  %s\n", name)
	}
	r := pic.Record
	fmt.Fprintf(w, "  update    %s %s %s\n", r.Phase, r.Deployment, r.Artifact)
	if r.Last.State != "" {
		fmt.Fprintf(w, "  last      %s %s %s\n", r.Last.State, r.Last.Deployment, r.Last.Detail)
	}
	if pic.Problem != "" {
		fmt.Fprintf(w, "  PROBLEM   %s\n", pic.Problem)
	}
}
