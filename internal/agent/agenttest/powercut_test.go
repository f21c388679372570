package agenttest_test

import (
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/agent/agenttest"
	"github.com/moult-ota/moult/internal/deployment"
)

const slotSize = 160 << 10

var (
	signer = agenttest.NewSigner()
	old    = agenttest.Image{Name: "fw-1", Size: 128 << 10, Floor: 1}
	new2   = agenttest.Image{Name: "fw-2", Size: 128 << 10, Floor: 2}
	crash  = agenttest.Image{Name: "fw-crash", Size: 128 << 10, Floor: 2, Crashes: true}
	sick   = agenttest.Image{Name: "fw-sick", Size: 128 << 10, Floor: 2, Sick: true}
)

// A story is one update and how it should end when nothing interferes.
type story struct {
	name  string
	image agenttest.Image
	end   deployment.State
	path  string // states at the server
	world func(*agenttest.Device)
}

const toTrial = "offered downloading installing rebooting "

var stories = []story{
	{"good", new2, deployment.Done, toTrial + "trying done", nil},
	{"crashes on boot", crash, deployment.RolledBack, toTrial + "rolled-back", nil},
	{"fails its self-test", sick, deployment.RolledBack, toTrial + "rolled-back", nil},
	{"bad signature", new2, deployment.Refused, "offered downloading refused", signedBy(agenttest.NewSigner())},
	{"unsigned", new2, deployment.Refused, "offered downloading refused", packed(func(s *artifact.Spec) { s.Signer = nil })},
	{"for another device", new2, deployment.Refused, "offered downloading refused", packed(func(s *artifact.Spec) { s.DeviceTypes = []string{"toaster"} })},
	{"depends on something else", new2, deployment.Refused, "offered downloading refused", packed(func(s *artifact.Spec) { s.DependsNames = []string{"fw-0"} })},
	{"below the floor", agenttest.Image{Name: "fw-0", Size: 96 << 10}, deployment.Refused, "offered downloading refused", nil},
	{"canceled while downloading", new2, deployment.Canceled, "offered canceled", canceledAt(deployment.Downloading)},
	{"canceled while installing", new2, deployment.Canceled, "offered downloading canceled", canceledAt(deployment.Installing)},
	{"canceled while rebooting", new2, deployment.Canceled, "offered downloading installing canceled", canceledAt(deployment.Rebooting)},
	{"canceled during the trial", new2, deployment.Canceled, toTrial + "canceled", canceledAt(deployment.Trying)},
	{"server gone during the trial", new2, deployment.RolledBack, toTrial + "rolled-back", goneOnTrial},
	{"server of v1", new2, deployment.Done, toTrial + "trying done", func(d *agenttest.Device) { d.Server.NoV2 = true }},
	{"compressed", new2, deployment.Done, toTrial + "trying done", packed(func(s *artifact.Spec) { s.Compression = artifact.Gzip })},
}

func signedBy(s *agenttest.Signer) func(*agenttest.Device) {
	return func(d *agenttest.Device) { d.Server.Artifact = s.Artifact(new2, nil) }
}

func packed(change func(*artifact.Spec)) func(*agenttest.Device) {
	bytes := signer.Artifact(new2, change)
	return func(d *agenttest.Device) { d.Server.Artifact = bytes }
}

func canceledAt(s deployment.State) func(*agenttest.Device) {
	return func(d *agenttest.Device) { d.Server.CancelAt = s }
}

func goneOnTrial(d *agenttest.Device) {
	d.Server.Away = func() bool { return d.Boots > 1 && d.Running().Name == new2.Name }
}

// device returns the story's device, to be cut at operation at.
func (s story) device(bytes []byte, at int, seed uint64) *agenttest.Device {
	d := agenttest.NewDevice(signer, old, slotSize, at, seed)
	d.Images = append(d.Images, s.image)
	d.Server.Artifact, d.Server.Name = bytes, s.image.Name
	if s.world != nil {
		s.world(d)
	}
	return d
}

// TestPowerCutAtEveryOperation counts the operations of each story, and then
// cuts the power at each of them.
func TestPowerCutAtEveryOperation(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			bytes := signer.Artifact(s.image, nil)
			clean := s.device(bytes, 0, 0)
			clean.Live()
			if got := clean.Server.Path(); got != s.path {
				t.Fatalf("states %q, want %q (%s)", got, s.path, clean.Server.Detail)
			}
			check(t, s, clean, 0, 0)
			cuts, boots := 0, 0
			for seed := range uint64(2) {
				for at := 1; at <= clean.Power.Total(); at++ {
					d := s.device(bytes, at, seed)
					d.Live()
					check(t, s, d, at, seed)
					cuts++
					boots = max(boots, d.Boots)
				}
			}
			t.Logf("%d operations %v, %d cuts, at most %d boots", clean.Power.Total(), clean.Power.Ops, cuts, boots)
		})
	}
}

func check(t *testing.T, s story, d *agenttest.Device, at int, seed uint64) {
	t.Helper()
	for _, broken := range d.Check(old, s.image) {
		t.Errorf("cut at %d, seed %d: %s (%s)", at, seed, broken, d.Server.Path())
	}
	if d.Server.State != s.end {
		t.Errorf("cut at %d, seed %d: ended %s (%s), want %s", at, seed, d.Server.State, d.Server.Detail, s.end)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// TestNoKeyInstallsNothing fails closed.
func TestNoKeyInstallsNothing(t *testing.T) {
	d := story{image: new2}.device(signer.Artifact(new2, nil), 0, 0)
	d.Options = func(o *agent.Options) { o.Verifiers = nil }
	d.Live()
	if d.Server.State != deployment.Refused || !strings.Contains(d.Server.Detail, "no key") {
		t.Errorf("ended %s: %s", d.Server.State, d.Server.Detail)
	}
	if d.Power.Ops["disk write"] != 0 {
		t.Errorf("%d writes to the slot", d.Power.Ops["disk write"])
	}
	for _, broken := range d.Check(old, new2) {
		t.Error(broken)
	}
}

// TestRefusedWritesNothing: what must not be installed touches no slot.
func TestRefusedWritesNothing(t *testing.T) {
	for _, s := range stories {
		if s.end != deployment.Refused {
			continue
		}
		d := s.device(signer.Artifact(s.image, nil), 0, 0)
		d.Live()
		if n := d.Power.Ops["disk write"] + d.Power.Ops["register save"]; n != 0 {
			t.Errorf("%s: %d writes to slot and register", s.name, n)
		}
		if len(d.Server.Log) == 0 {
			t.Errorf("%s: no log was sent", s.name)
		}
	}
}

// TestOfferedAgain asks again for an update that is done.
func TestOfferedAgain(t *testing.T) {
	d := story{image: new2}.device(signer.Artifact(new2, nil), 0, 0)
	d.Live()
	downloads := d.Server.Downloads
	d.Server.State = deployment.Pending
	d.Live()
	if got := d.Server.History[len(d.Server.History)-1]; got != deployment.Done {
		t.Errorf("asked again, it reported %s", got)
	}
	if d.Server.Downloads != downloads {
		t.Errorf("asked again, it downloaded again")
	}
}

// TestManyCuts pulls the power again and again, at random.
func TestManyCuts(t *testing.T) {
	bytes := signer.Artifact(new2, nil)
	ends := map[deployment.State]int{}
	for seed := range uint64(300) {
		s := stories[0]
		d := s.device(bytes, 0, seed)
		d.Power.Storm(0.02, 12)
		d.Live()
		ends[d.Server.State]++
		for _, broken := range d.Check(old, new2) {
			t.Fatalf("seed %d: %s (%s)", seed, broken, d.Server.Path())
		}
	}
	t.Logf("ends: %v", ends)
}

// TestSpoiltDisk: what is read back differs, so nothing is activated.
func TestSpoiltDisk(t *testing.T) {
	d := stories[0].device(signer.Artifact(new2, nil), 0, 0)
	d.SpoilDisk()
	d.Live()
	if d.Server.State != deployment.Failed || !strings.Contains(d.Server.Detail, "read back") {
		t.Errorf("ended %s: %s", d.Server.State, d.Server.Detail)
	}
	for _, broken := range d.Check(old, new2) {
		t.Error(broken)
	}
}

// TestWornRegister: saves fail for a while. What could not be taken back then
// is taken back once they work again.
func TestWornRegister(t *testing.T) {
	for fails := range 12 {
		for after := range 4 {
			d := stories[0].device(signer.Artifact(new2, nil), 0, 0)
			d.WearRegister(after, fails)
			d.Live()
			d.HealRegister()
			d.Live()
			for _, broken := range d.Check(old, new2) {
				t.Errorf("%d saves fail after %d: %s (%s)", fails, after, broken, d.Server.Path())
			}
		}
	}
}
