package fleettest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
)

// errNone answers an operator who names what is not there.
var errNone = errors.New("no such thing")

// Accept lets the device in with the key that asked last; its other keys are
// rejected.
func (f *Fleet) Accept(identity device.Identity) (device.ID, error) {
	return f.judge(identity, device.Accepted)
}

// Reject turns the device away, whichever key it shows.
func (f *Fleet) Reject(identity device.Identity) error {
	_, err := f.judge(identity, device.Rejected)
	return err
}

func (f *Fleet) judge(identity device.Identity, s device.Status) (device.ID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.byIdentity(identity)
	if m == nil {
		return "", fmt.Errorf("%s device %s: %w", s, identity, errNone)
	}
	for key := range m.keys {
		m.keys[key] = device.Rejected
	}
	m.keys[m.last], m.Status = s, s
	f.emit(fleet.Event{Kind: fleet.KindDevice, Device: m.ID, Detail: string(s)})
	return m.ID, nil
}

// Publish adds an artifact of size bytes to a release and returns its bytes,
// which are no real artifact.
func (f *Fleet) Publish(release, deviceType string, size int) ([]byte, error) {
	content := make([]byte, size)
	chance := rand.NewChaCha8(sha256.Sum256([]byte(release + " " + deviceType)))
	chance.Read(content)
	f.Add(release, deviceType, content)
	return content, nil
}

// Add adds an artifact with these bytes to a release.
func (f *Fleet) Add(release, deviceType string, content []byte) fleet.Artifact {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := sha256.Sum256(content)
	a := fleet.Artifact{
		ID:   fmt.Sprintf("artifact-%s-%d", release, len(f.releases[release])+1),
		Name: release, DeviceTypes: []string{deviceType},
		Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]),
	}
	f.releases[release] = append(f.releases[release], file{a, content})
	f.emit(fleet.Event{Kind: fleet.KindRelease, Detail: a.ID})
	return a
}

// Deploy sends a release to devices.
func (f *Fleet) Deploy(release string, ids ...device.ID) (deployment.ID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.releases[release]) == 0 {
		return "", fmt.Errorf("deploy %s: %w", release, errNone)
	}
	f.deployments++
	d := deployment.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", f.deployments))
	for _, id := range ids {
		p := &part{release: release}
		p.Deployment, p.Device, p.State, p.Attempt, p.UpdatedAt = d, id, deployment.Pending, 1, f.now()
		f.parts = append(f.parts, p)
	}
	f.emit(fleet.Event{Kind: fleet.KindDeployment, Deployment: d, Detail: string(deployment.Active)})
	return d, nil
}

// Abort stops a deployment for all devices that have not come to an end.
func (f *Fleet) Abort(d deployment.ID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.parts {
		if p.Deployment == d && !p.State.Final() {
			f.move(p, deployment.Canceled)
		}
	}
	f.emit(fleet.Event{Kind: fleet.KindDeployment, Deployment: d, Detail: string(deployment.Aborted)})
	return nil
}

// Assignment is how a device's part stands.
func (f *Fleet) Assignment(d deployment.ID, id device.ID) (deployment.Assignment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.part(d, id)
	if err != nil {
		return deployment.Assignment{}, err
	}
	return p.Assignment, nil
}

// LogText is the log that a device left.
func (f *Fleet) LogText(d deployment.ID, id device.ID) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.part(d, id)
	if err != nil {
		return "", err
	}
	return p.log, nil
}

// Inventory is what a device said of itself.
func (f *Fleet) Inventory(id device.ID) (inventory.Attributes, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, err := f.accepted(id)
	if err != nil {
		return nil, err
	}
	return maps.Clone(m.inventory), nil
}
