package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/gateway/upstream"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/version"
)

// ownType is the device type of a gateway.
const ownType = "moult-gateway"

// identity is the gateway's own. The server finds by it whose children those
// are that name the gateway in theirs.
func (g *Gateway) identity() (device.Identity, error) {
	text, err := json.Marshal(map[string]string{"gateway_id": g.c.ID, "role": "gateway"})
	if err != nil {
		return "", err
	}
	return device.ParseIdentity(string(text))
}

// ownKey is the file of the key that proves it.
func (g *Gateway) ownKey() string { return filepath.Join(g.c.StateDir, "gateway.key") }

// itself is the agent of the gateway as a device of the fleet: it says that it
// is there, and what stands behind it. It installs nothing on this box; that
// is moult-agent's.
func (g *Gateway) itself(log *slog.Logger) (*agent.Agent, error) {
	folder := filepath.Join(g.c.StateDir, "own")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the gateway's folder: %w", err)
	}
	o := agent.Options{
		DeviceType: ownType, Verifiers: g.keys, Provides: map[string]string{"artifact_name": "unknown"},
		Record: agent.FileStore(filepath.Join(folder, "record.json")), LogFile: agent.FileStore(filepath.Join(folder, "update.log")),
		Poll: g.c.Poll, Inventory: g.c.Inventory, Retry: g.c.Retry, RetryMax: g.c.RetryMax, Log: log,
		Servers: []string{upstream.Inside}, Token: g.c.Token, Transport: g.proxy.Inward(),
		Extra: func() inventory.Attributes {
			return inventory.Attributes{"children": float64(len(g.c.Children)), "moult_gateway_version": version.Version}
		},
	}
	var err error
	if o.Identity, err = g.identity(); err != nil {
		return nil, err
	}
	if o.Key, err = agent.DeviceKey(g.ownKey()); err != nil {
		return nil, err
	}
	return agent.New(o)
}
