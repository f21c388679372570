package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/frontendtest"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/mqttdevice"
	"github.com/moult-ota/moult/internal/server"
	"github.com/moult-ota/moult/internal/server/servertest"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// freeAddress is where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// withMQTT is a server with a broker, and how many devices are wanted.
func withMQTT(t *testing.T, n int) (*servertest.World, []*mqttdevice.Device, []string) {
	t.Helper()
	addr := freeAddress(t)
	w := servertest.Start(t, func(o *server.Options) { o.MQTT, o.MQTTRate = addr, "16MiB" })
	var devices []*mqttdevice.Device
	var ids []string
	for i := range n {
		name := fmt.Sprintf("m%d", i)
		d := mqttdevice.New(t, addr, device.Identity(fmt.Sprintf(`{"mac":%q}`, name)), time.Now)
		if err := d.Enroll(t.Context()); err == nil {
			t.Fatal("device was let in unasked")
		}
		id := w.ID(name)
		if err := w.SetDeviceStatus(t.Context(), id, client.NewStatus{Status: "accepted"}, client.SetDeviceStatusParams{}); err != nil {
			t.Fatal(err)
		}
		if err := d.Enroll(t.Context()); err != nil {
			t.Fatal(err)
		}
		devices, ids = append(devices, d), append(ids, id)
	}
	return w, devices, ids
}

func idle(t *testing.T, d *mqttdevice.Device) {
	t.Helper()
	o, err := d.CheckIn(t.Context(), fleet.Report{Type: "x", Provides: map[string]string{"artifact_name": "r1"}})
	if err != nil || o.Deployment != "" {
		t.Fatalf("CheckIn = %+v, %v, want nothing to do", o, err)
	}
}

func deploy(t *testing.T, w *servertest.World, release string, ids ...string) client.Deployment {
	t.Helper()
	d, err := w.CreateDeployment(t.Context(), client.NewDeployment{Release: release, Target: client.Target{Devices: ids}}, client.CreateDeploymentParams{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDeploymentReachesAConnectedDevice that asks for nothing, and so does
// the end of it.
func TestDeploymentReachesAConnectedDevice(t *testing.T) {
	w, devices, ids := withMQTT(t, 1)
	d := devices[0]
	idle(t, d)
	w.Release("r2", "x")
	began := time.Now()
	made := deploy(t, w, "r2", ids[0])
	err := d.Await(t.Context(), func(m securemsg.Message) bool {
		a, ok := m.(securemsg.Assignment)
		return ok && string(a.Deployment) == made.ID && a.Answers == 0
	})
	if err != nil {
		t.Fatalf("the deployment did not come: %v", err)
	}
	t.Logf("a new deployment reached the device after %v", time.Since(began))
	if _, err := w.AbortDeployment(t.Context(), made.ID, client.AbortDeploymentParams{}); err != nil {
		t.Fatal(err)
	}
	err = d.Await(t.Context(), func(m securemsg.Message) bool {
		c, ok := m.(securemsg.Cancel)
		return ok && string(c.Deployment) == made.ID
	})
	if err != nil {
		t.Errorf("the end of the deployment did not come: %v", err)
	}
}

// TestHintOfADeploymentForAType is retained for devices that come later.
func TestHintOfADeploymentForAType(t *testing.T) {
	w, devices, _ := withMQTT(t, 1)
	idle(t, devices[0])
	w.Release("r2", "x")
	if _, err := w.CreateDeployment(t.Context(), client.NewDeployment{Release: "r2", Target: client.Target{Type: "x"}}, client.CreateDeploymentParams{}); err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 8)
	w.Eventually("a hint is retained", func() bool {
		if err := devices[0].Listen(topic.Release("x"), func(_ string, payload []byte) { heard <- string(payload) }); err != nil {
			t.Fatal(err)
		}
		select {
		case hint := <-heard:
			return hint != ""
		case <-time.After(100 * time.Millisecond):
			return false
		}
	})
}

// TestRestartCostsAHandshake and nothing else: what the device says before is
// answered by a hint.
func TestRestartCostsAHandshake(t *testing.T) {
	w, devices, _ := withMQTT(t, 1)
	d := devices[0]
	idle(t, d)
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	w.Run()
	if err := d.Rejoin(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := d.Mutter(securemsg.CheckIn{Number: 100, Type: "x", Provides: map[string]string{}}); err != nil {
		t.Fatal(err)
	}
	if err := d.Hinted(t.Context()); err != nil {
		t.Fatalf("no hint after a restart: %v", err)
	}
	if err := d.Rejoin(t.Context(), d.ServerKey()); err != nil {
		t.Fatal(err)
	}
	idle(t, d)
}

// TestRotatedSessionKeys reach devices that hold the old one, over it.
func TestRotatedSessionKeys(t *testing.T) {
	w, devices, _ := withMQTT(t, 1)
	d := devices[0]
	old := d.ServerKey()
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	after, err := server.RotateSessionKeys(w.Options)
	if err != nil {
		t.Fatal(err)
	}
	w.Run()
	if err := d.Rejoin(t.Context(), old); err != nil {
		t.Fatalf("handshake with the key before: %v", err)
	}
	if err := d.Mutter(securemsg.CheckIn{Number: 200, Type: "x", Provides: map[string]string{}}); err != nil {
		t.Fatal(err)
	}
	var keys []securemsg.ServerKey
	err = d.Await(t.Context(), func(m securemsg.Message) bool {
		k, ok := m.(securemsg.Keys)
		keys = k.Keys
		return ok
	})
	if err != nil || len(keys) != 4 || keys[0].String() != after[0] || bytes.Equal(keys[0].Public, old.Public) {
		t.Errorf("keys told = %v, %v, want 4, the first %s", keys, err, after[0])
	}
}

// TestDeletedArtifactLeavesNoObject behind.
func TestDeletedArtifactLeavesNoObject(t *testing.T) {
	w, devices, ids := withMQTT(t, 1)
	a := w.Release("r2", "x")
	d := deploy(t, w, "r2", ids[0])
	if o, err := devices[0].CheckIn(t.Context(), fleet.Report{Type: "x", Provides: map[string]string{"artifact_name": "r1"}}); err != nil || o.Ref == "" {
		t.Fatalf("CheckIn = %+v, %v", o, err)
	}
	stored := func() (n int) {
		err := filepath.WalkDir(filepath.Join(w.Options.Data, "objects"), func(_ string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				n++
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if stored() == 0 {
		t.Fatal("no object is stored")
	}
	if _, err := w.AbortDeployment(t.Context(), d.ID, client.AbortDeploymentParams{}); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteArtifact(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if n := stored(); n != 0 {
		t.Errorf("%d files of objects are left", n)
	}
}

// TestRejectedDeviceIsTold inside its session, and its connection is worth
// nothing more.
func TestRejectedDeviceIsTold(t *testing.T) {
	w, devices, ids := withMQTT(t, 1)
	d := devices[0]
	idle(t, d)
	if err := w.SetDeviceStatus(t.Context(), ids[0], client.NewStatus{Status: "rejected"}, client.SetDeviceStatusParams{}); err != nil {
		t.Fatal(err)
	}
	_, err := d.CheckIn(t.Context(), fleet.Report{Type: "x", Provides: map[string]string{"artifact_name": "r1"}})
	if err == nil || !strings.Contains(err.Error(), fleet.ErrUnauthorized.Error()) {
		t.Errorf("CheckIn of a rejected device = %v, want %v", err, fleet.ErrUnauthorized)
	}
}

// TestManyTakeOneCarousel: what several devices wait for crosses the broker
// about once, and each has it whole.
func TestManyTakeOneCarousel(t *testing.T) {
	const n = 5
	w, devices, ids := withMQTT(t, n)
	payload := make([]byte, 2<<20)
	for i := range payload {
		payload[i] = byte(i * i >> 8)
	}
	file := servertest.Artifact(t, "r2", "x", payload)
	if _, err := w.UploadArtifact(t.Context(), bytes.NewReader(file), client.UploadArtifactParams{}); err != nil {
		t.Fatal(err)
	}
	deploy(t, w, "r2", ids...)
	offers := make([]frontendtest.Offer, n)
	for i, d := range devices {
		var err error
		if offers[i], err = d.CheckIn(t.Context(), fleet.Report{Type: "x", Provides: map[string]string{"artifact_name": "r1"}}); err != nil || offers[i].Ref == "" {
			t.Fatalf("CheckIn = %+v, %v", offers[i], err)
		}
	}
	var carousel, alone atomic.Int64
	for _, d := range devices {
		d.Alone = &alone
	}
	devices[0].Carousel = &carousel
	var all sync.WaitGroup
	for i, d := range devices {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got, err := d.Download(ctx, offers[i], 0)
			if err != nil || !bytes.Equal(got, file) {
				t.Errorf("device %d: Download = %d bytes, %v", i, len(got), err)
			}
			if err := d.Progress(ctx, fleet.Progress{Deployment: offers[i].Deployment, State: deployment.Installing}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	sent := float64(carousel.Load()+alone.Load()) / float64(len(file))
	t.Logf("%d devices took %d bytes; %d came by carousel, %d to one alone: %.2f of the object", n, len(file), carousel.Load(), alone.Load(), sent)
	if sent > 1.5 {
		t.Errorf("%.2f of the object crossed the broker for %d devices, want about 1", sent, n)
	}
}
