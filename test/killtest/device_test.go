package killtest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	contract "github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/menderdevice"
)

// A fleet is the devices, and what the server acknowledged to them.
type fleet struct {
	t        *testing.T
	all      []*dev
	byID     map[string]*dev
	repeated atomic.Int64 // requests that were sent again
	lost     atomic.Bool  // a device waited in vain; the others need not
}

// A dev is one device. It asks again until it has an answer, as real ones do.
type dev struct {
	*menderdevice.Device
	fleet        *fleet
	installed    string
	acknowledged map[string][]string // states by deployment, as the server names them
	installs     map[string]int      // by deployment
}

// join lets the devices in.
func join(t *testing.T, s *server) *fleet {
	t.Helper()
	f := &fleet{t: t, byID: map[string]*dev{}}
	for i := range devices {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		d := &dev{fleet: f, installed: "factory", acknowledged: map[string][]string{}, installs: map[string]int{}}
		d.Device = &menderdevice.Device{
			Base: s.Server, Key: key, Identity: device.Identity(fmt.Sprintf(`{"n":"%d"}`, i)),
			Client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}},
		}
		if err := d.Enroll(t.Context()); !errors.Is(err, contract.ErrUnauthorized) {
			t.Fatalf("first request of a device: %v, want it to wait", err)
		}
		f.all = append(f.all, d)
	}
	page, err := s.ListDevices(t.Context(), client.ListDevicesParams{Limit: 500})
	if err != nil || len(page.Items) != devices {
		t.Fatalf("%d devices wait, %v; want %d", len(page.Items), err, devices)
	}
	for _, item := range page.Items {
		if err := s.SetDeviceStatus(t.Context(), item.ID, client.NewStatus{Status: "accepted"}, client.SetDeviceStatusParams{}); err != nil {
			t.Fatal(err)
		}
		for i, d := range f.all {
			if item.Identity["n"] == fmt.Sprint(i) {
				f.byID[item.ID] = d
			}
		}
	}
	<-together(f.all, func(d *dev) { d.until("enrol", func(ctx context.Context) error { return d.Enroll(ctx) }) })
	return f
}

// update has every device take its part in the deployment.
func (f *fleet) update(id string) <-chan struct{} {
	return together(f.all, func(d *dev) { d.update(id) })
}

// patience is how long a device asks for an answer.
const patience = 20 * time.Second

// until does act again while the server is away.
func (d *dev) until(what string, act func(context.Context) error) {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end) && !d.fleet.lost.Load(); time.Sleep(10 * time.Millisecond) {
		if err = act(d.fleet.t.Context()); err == nil {
			return
		}
		d.fleet.repeated.Add(1)
	}
	if !d.fleet.lost.Swap(true) {
		d.fleet.t.Errorf("device %s: %s: %v", d.Identity, what, err)
	}
}

// steps are what a device reports and what the server calls it: once
// rebooting, "installing" says that the new image is up.
var steps = []struct {
	report deployment.State
	kept   string
}{
	{deployment.Downloading, "downloading"}, {deployment.Installing, "installing"},
	{deployment.Rebooting, "rebooting"}, {deployment.Installing, "trying"}, {deployment.Done, "done"},
}

func (d *dev) update(id string) {
	name := d.next(id)
	for _, s := range steps {
		d.until(s.kept, func(ctx context.Context) error {
			return d.Progress(ctx, contract.Progress{Deployment: deployment.ID(id), State: s.report})
		})
		d.acknowledged[id] = append(d.acknowledged[id], s.kept)
	}
	d.installed = name
	d.until("settle", func(ctx context.Context) error {
		o, err := d.CheckIn(ctx, d.report())
		if err == nil && o.Deployment != "" {
			d.installs[string(o.Deployment)]++ // offered what it has: a second update
		}
		return err
	})
}

func (d *dev) report() contract.Report {
	return contract.Report{Type: "rpi", Provides: map[string]string{"artifact_name": d.installed}}
}

// next asks until the deployment is offered, and downloads it whole.
func (d *dev) next(id string) (name string) {
	d.until("check in and download", func(ctx context.Context) error {
		o, err := d.CheckIn(ctx, d.report())
		switch {
		case err != nil:
			return err
		case o.Deployment == "":
			return errors.New("nothing was offered")
		case string(o.Deployment) != id:
			d.installs[string(o.Deployment)]++
			return fmt.Errorf("offered deployment %s, want %s", o.Deployment, id)
		}
		name = o.Artifact.Name
		body, err := d.Download(ctx, o, 0)
		if err == nil && len(body) == 0 {
			err = errors.New("empty artifact")
		}
		return err
	})
	d.installs[id]++
	return name
}
