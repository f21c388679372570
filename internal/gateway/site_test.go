package gateway

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/child/dfu/dfutest"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/frontendtest"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/menderdevice"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/mqttlink"
	"github.com/moult-ota/moult/internal/server"
	"github.com/moult-ota/moult/internal/server/servertest"
	"github.com/moult-ota/moult/internal/virtualmcu"
)

// lanReport is what the devices of the LAN run.
var lanReport = fleet.Report{Type: "box", Provides: map[string]string{"artifact_name": "lan-1"}}

// lanStates are what a device of the LAN reports until it is done.
var lanStates = []deployment.State{deployment.Downloading, deployment.Installing, deployment.Rebooting, deployment.Trying, deployment.Done}

// TestSite: one gateway with two children by SMP, one by DFU, three devices of
// the LAN by HTTP and two by MQTT; one deployment for each type. One child
// never confirms. The uplink is down for a while. What the server knows in the
// end is what is so.
func TestSite(t *testing.T) {
	direct, leaves, lan := freePort(t), freePort(t), freePort(t)
	s := newSiteOf(t, servertest.Start(t, func(o *server.Options) { o.MQTT, o.MQTTLeaves, o.MQTTRate = direct, leaves, "16MiB" }))
	listen := freePort(t)
	s.file["listen"] = listen
	s.file["broker"], s.file["broker_leaves"], s.file["broker_listen"] = "mqtt://"+direct, leaves, lan

	boards := map[string]*virtualmcu.Device{"pump": virtual(t, nil), "valve": virtual(t, nil), "press": virtual(t, func(o *virtualmcu.Options) { o.Transfer = 512 })}
	s.child("pump", map[string]any{"device_type": "pump", "driver": "smp-udp", "address": overUDP(t, boards["pump"])})
	s.child("valve", map[string]any{"device_type": "valve", "driver": "smp-serial", "address": overSerial(t, boards["valve"])})
	s.child("press", map[string]any{"device_type": "press", "driver": "dfu", "address": "2fe3:*@1-1", "reset_command": s.button(boards["press"], "button"), "away": "5s"})
	bus := &dfutest.Bus{}
	bus.Plug("1-1", boards["press"].USB())
	s.usb = bus
	gateway := s.gatewayName()
	s.run()

	httpDevices, ids := s.lanByHTTP("http://"+listen, 3)
	links, more := s.lanByMQTT(lan, gateway, 2)
	ids = append(ids, more...)
	children := map[string]string{}
	for id := range boards {
		children[id] = s.device(id).ID
	}
	deployments := map[string]string{
		"pump":  s.deploy("fw-pump", "pump", firmware(t, 2, virtualmcu.Habits{})),
		"valve": s.deploy("fw-valve", "valve", firmware(t, 2, virtualmcu.Habits{Confirm: virtualmcu.ConfirmNever})),
		"press": s.deploy("fw-press", "press", firmware(t, 2, virtualmcu.Habits{Confirm: virtualmcu.ConfirmSelf})),
	}
	file := servertest.Artifact(t, "lan-2", "box", bytes.Repeat([]byte("firmware for boxes on the LAN"), 4000))
	if _, err := s.UploadArtifact(t.Context(), bytes.NewReader(file), client.UploadArtifactParams{}); err != nil {
		t.Fatal(err)
	}
	to, err := s.CreateDeployment(t.Context(), client.NewDeployment{Release: "lan-2", Target: client.Target{Type: "box"}}, client.CreateDeploymentParams{})
	if err != nil {
		t.Fatal(err)
	}
	var offers []frontendtest.Offer
	for _, d := range httpDevices {
		o, err := d.CheckIn(t.Context(), lanReport)
		if err != nil || string(o.Deployment) != to.ID {
			t.Fatalf("CheckIn on the LAN = %+v, %v", o, err)
		}
		offers = append(offers, o)
	}
	if got, err := httpDevices[0].Download(t.Context(), offers[0], 0); err != nil || !bytes.Equal(got, file) {
		t.Errorf("Download on the LAN = %d bytes, %v", len(got), err)
	}

	if err := s.Stop(); err != nil { // the uplink is down
		t.Fatal(err)
	}
	for i, d := range httpDevices {
		if got, err := d.Download(t.Context(), offers[i], 0); err != nil || !bytes.Equal(got, file) {
			t.Errorf("Download without an uplink = %d bytes, %v", len(got), err)
		}
		for _, state := range lanStates {
			if err := d.Progress(t.Context(), fleet.Progress{Deployment: deployment.ID(to.ID), State: state}); err != nil {
				t.Errorf("Progress(%s) without an uplink = %v", state, err)
			}
		}
	}
	s.Options.Listen = s.Server[len("http://"):]
	s.World.Run()

	var all sync.WaitGroup
	for _, l := range links {
		all.Go(func() { s.updateByMQTT(l, to.ID, file) })
	}
	all.Wait()
	for _, want := range []struct {
		id, states string
		runs       uint8
	}{{"pump", good, 2}, {"valve", "offered downloading installing trying rolled-back", 1}, {"press", good, 2}} {
		if states, detail := s.path(deployments[want.id], children[want.id]); states != want.states {
			t.Errorf("%s: %q (%s), want %q", want.id, states, detail, want.states)
		}
		if v, answers := boards[want.id].Running(); v.Major != want.runs || !answers {
			t.Errorf("%s runs %v, answers %v; want %d.0.0", want.id, v, answers, want.runs)
		}
	}
	for i, id := range ids {
		if states, detail := s.path(to.ID, id); states != "offered downloading installing rebooting trying done" {
			t.Errorf("device %d of the LAN: %q (%s)", i+1, states, detail)
		}
	}
	s.until("see every deployment finished, and the server's counts right", func() error {
		page, err := s.ListDeployments(t.Context(), client.ListDeploymentsParams{})
		if err != nil {
			return err
		}
		got := map[string]string{}
		for _, d := range page.Items {
			got[d.Release] = fmt.Sprint(d.Status, d.Counts)
		}
		want := map[string]string{
			"fw-pump": "finishedmap[done:1]", "fw-press": "finishedmap[done:1]", "fw-valve": "finishedmap[rolled-back:1]", "lan-2": "finishedmap[done:5]",
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("deployments are %v, want %v", got, want)
		}
		return nil
	})
}

// gatewayName is what devices behind the gateway's broker call it.
func (s *site) gatewayName() string {
	s.Helper()
	if err := os.MkdirAll(filepath.Join(s.dir, "state"), 0o700); err != nil {
		s.Fatal(err)
	}
	key, err := agent.DeviceKey(filepath.Join(s.dir, "state", "gateway.key"))
	if err != nil {
		s.Fatal(err)
	}
	name, err := agent.WireName(key)
	if err != nil {
		s.Fatal(err)
	}
	return name
}

// lanByHTTP are devices that were let in, and their ids.
func (s *site) lanByHTTP(base string, n int) (all []*menderdevice.Device, ids []string) {
	s.Helper()
	for i := range n {
		mac := fmt.Sprintf("02:00:00:00:00:%02d", i)
		d := menderdevice.New(s.T, base, device.Identity(`{"mac":"`+mac+`"}`))
		s.Eventually("a device of the LAN asks to join", func() bool { return errors.Is(d.Enroll(s.Context()), fleet.ErrUnauthorized) })
		id := s.ID(mac)
		if err := s.SetDeviceStatus(s.Context(), id, client.NewStatus{Status: "accepted"}, client.SetDeviceStatusParams{}); err != nil {
			s.Fatal(err)
		}
		if err := d.Enroll(s.Context()); err != nil {
			s.Fatal(err)
		}
		if o, err := d.CheckIn(s.Context(), lanReport); err != nil || o.Deployment != "" {
			s.Fatalf("CheckIn = %+v, %v", o, err)
		}
		all, ids = append(all, d), append(ids, id)
	}
	return all, ids
}

// lanByMQTT are links of devices behind the gateway's broker, and their ids.
func (s *site) lanByMQTT(lan, gateway string, n int) (all []*mqttlink.Link, ids []string) {
	s.Helper()
	for i := range n {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			s.Fatal(err)
		}
		mac := fmt.Sprintf("mqtt-%d", i)
		l, err := mqttlink.New(mqttlink.Options{
			Servers: []string{"mqtt://" + lan}, Identity: device.Identity(fmt.Sprintf(`{"gateway":%q,"mac":%q}`, gateway, mac)), Type: "box", Key: key,
			Store: agent.FileStore(filepath.Join(s.T.TempDir(), "session")), Cache: mqttlink.Folder(s.T.TempDir()), Token: s.file["token"].(string),
			Timeout: 10 * time.Second,
		})
		if err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() { l.Close() })
		s.until("be let in through the gateway's broker", func() error {
			_, err := l.Next(s.Context(), lanReport)
			return err
		})
		all, ids = append(all, l), append(ids, s.ID(mac))
	}
	return all, ids
}

// until does something again and again, for a minute, until it succeeds.
func (s *site) until(what string, do func() error) {
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = do(); err == nil {
			return
		}
	}
	s.Errorf("%s: %v", what, err)
}

// updateByMQTT takes one device through its update.
func (s *site) updateByMQTT(l *mqttlink.Link, want string, file []byte) {
	var o link.Offer
	s.until("ask for work by MQTT", func() (err error) {
		if o, err = l.Next(s.Context(), lanReport); err == nil && string(o.Deployment) != want {
			err = fmt.Errorf("offered %q, want %s", o.Deployment, want)
		}
		return err
	})
	d := link.NewDownload(s.Context(), l, o.URI, 0, link.Patience{Tries: 50, Retry: 100 * time.Millisecond, RetryMax: time.Second})
	defer d.Close()
	if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, file) {
		s.Errorf("download by MQTT = %d bytes, %v, want %d", len(got), err, len(file))
	}
	for _, state := range lanStates {
		s.until(string(state), func() error {
			return l.Progress(s.Context(), fleet.Progress{Deployment: o.Deployment, State: state})
		})
	}
}
