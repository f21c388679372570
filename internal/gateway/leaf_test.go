package gateway

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/mqttlink"
	"github.com/moult-ota/moult/internal/server"
	"github.com/moult-ota/moult/internal/server/servertest"
)

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestDevicesByMQTTOnTheLAN enrol, ask and download through the gateway's
// broker, which joins the server's.
func TestDevicesByMQTTOnTheLAN(t *testing.T) {
	direct, leaves, lan := freePort(t), freePort(t), freePort(t)
	s := newSiteOf(t, servertest.Start(t, func(o *server.Options) { o.MQTT, o.MQTTLeaves = direct, leaves }))
	s.file["broker"], s.file["broker_leaves"], s.file["broker_listen"] = "mqtt://"+direct, leaves, lan
	gateway := s.gatewayName()
	s.run()
	file := servertest.Artifact(t, "r2", "x", bytes.Repeat([]byte("firmware of a device on the LAN"), 1000))
	if _, err := s.UploadArtifact(t.Context(), bytes.NewReader(file), client.UploadArtifactParams{}); err != nil {
		t.Fatal(err)
	}
	report := fleet.Report{Type: "x", Provides: map[string]string{"artifact_name": "r1"}}
	var links []*mqttlink.Link
	for i := range 2 {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		l, err := mqttlink.New(mqttlink.Options{
			Servers: []string{"mqtt://" + lan}, Identity: device.Identity(fmt.Sprintf(`{"gateway":%q,"serial":"lan-%d"}`, gateway, i)),
			Type: "x", Key: private, Store: agent.FileStore(filepath.Join(t.TempDir(), "session")),
			Cache: mqttlink.Folder(t.TempDir()), Token: s.file["token"].(string), Timeout: 10 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		s.until("be let in through the gateway", func() error {
			_, err := l.Next(t.Context(), report)
			return err
		})
		links = append(links, l)
	}
	if _, err := s.CreateDeployment(t.Context(), client.NewDeployment{Release: "r2", Target: client.Target{Type: "x"}}, client.CreateDeploymentParams{}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i, l := range links {
		all.Go(func() {
			var o link.Offer
			for end := time.Now().Add(20 * time.Second); o.Deployment == "" && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				o, _ = l.Next(t.Context(), report)
			}
			d := link.NewDownload(t.Context(), l, o.URI, 0, link.Patience{Retry: 100 * time.Millisecond})
			defer d.Close()
			if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, file) {
				t.Errorf("device %d: %d bytes, %v, want %d", i, len(got), err, len(file))
			}
		})
	}
	all.Wait()
	if code, out, errs := s.call("show"); code != exitOK || !strings.Contains(out, "gateway="+gateway) {
		t.Errorf("show = %d, %s%s, want the name %s", code, out, errs, gateway)
	}
}

func TestLeafSettingsGoTogether(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"broker alone":      func(c *Config) { c.Broker = "mqtts://b" },
		"no address":        func(c *Config) { c.Broker, c.BrokerLeaves, c.BrokerListen = "mqtts://b", "b", ":1" },
		"nowhere to listen": func(c *Config) { c.Broker, c.BrokerLeaves = "mqtts://b", "b:1" },
	} {
		c := newConfig()
		c.ID = "g"
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		set(c)
		if err := c.Check(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
