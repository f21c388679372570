package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/deployment"
)

const (
	chapterWait = 60 * time.Second // for a deployment to end everywhere
	pullShare   = 0.25             // of the devices lose power where a chapter says so
	maxFuse     = 130              // disk operations; about what one update takes
)

// ErrStory means that the demo ended, and not as it should have.
var ErrStory = errors.New("a device did not end where it should")

// Play runs the story in a started world and returns ErrStory when any
// device ended elsewhere than its chapter says.
func (w *World) Play(ctx context.Context, s *Screen) error {
	var results []result
	for i, c := range story {
		s.Title(fmt.Sprintf("%d/%d  %s (%s): all must be %s, running %s", i+1, len(story), c.What, c.Image.Version, c.Expect, c.Runs))
		s.Say(time.Now(), "deploy fw-%s, %s", c.Image.Version, c.What)
		r, err := w.play(ctx, s, c)
		if err != nil {
			return fmt.Errorf("chapter %d, %s: %w", i+1, c.What, err)
		}
		s.Say(time.Now(), "fw-%s: %s", c.Image.Version, r)
		results = append(results, r)
	}
	return w.conclude(s, results)
}

// A result is how a chapter ended.
type result struct {
	chapter Chapter
	ends    map[deployment.State]int
	details map[string]int // the devices' words for an end that is not done
	cuts    int
	wrong   []string // devices that ended elsewhere
}

func (r result) String() string {
	var parts []string
	for _, s := range deployment.States {
		if n := r.ends[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if r.cuts > 0 {
		parts = append(parts, fmt.Sprintf("power pulled %d times", r.cuts))
	}
	return strings.Join(parts, ", ")
}

func (w *World) play(ctx context.Context, s *Screen, c Chapter) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, chapterWait)
	defer cancel()
	before := w.cuts()
	id, err := w.deploy(ctx, c)
	if err != nil {
		return result{}, err
	}
	defer w.disarm()
	states, err := w.follow(ctx, s, c, id)
	if err != nil {
		return result{}, fmt.Errorf("%w; so far: %s", err, tally(c, states))
	}
	r := tally(c, states)
	r.cuts = w.cuts() - before
	return r, nil
}

// deploy uploads the chapter's artifact, arms its mishaps and creates its
// deployment.
func (w *World) deploy(ctx context.Context, c Chapter) (id string, err error) {
	desk := w.builder
	if c.Stranger {
		desk = w.stranger
	}
	art, err := desk.Release(c.Image, w.o.ImageSize, c.Security)
	if err != nil {
		return "", err
	}
	stored, err := w.api().UploadArtifact(ctx, bytes.NewReader(art), client.UploadArtifactParams{Note: c.What})
	if err != nil {
		return "", fmt.Errorf("upload: %w", err)
	}
	if c.Tamper {
		if err := w.site.spoil(stored.SHA256); err != nil {
			return "", fmt.Errorf("change the artifact: %w", err)
		}
	}
	w.tamperer.Set(c.Tamper)
	if c.Pull {
		for _, m := range w.pick(pullShare) {
			m.PullAfter(1 + w.rng.IntN(maxFuse))
		}
	}
	d, err := w.api().CreateDeployment(ctx, client.NewDeployment{
		Name: c.What, Release: "fw-" + c.Image.Version, Target: client.Target{Type: deviceType},
	}, client.CreateDeploymentParams{})
	if err != nil {
		return "", fmt.Errorf("create deployment: %w", err)
	}
	return d.ID, nil
}

// follow shows the deployment until it ends, and restarts the server in the
// middle when the chapter says so.
func (w *World) follow(ctx context.Context, s *Screen, c Chapter, id string) (states map[*Machine]client.Assignment, err error) {
	restart := c.Restart
	for {
		if states, err = w.states(ctx, id); err != nil {
			return states, err
		}
		rows := w.rows(states)
		s.Draw(rows)
		for _, m := range w.machines {
			for _, news := range m.takeNews() {
				s.Say(time.Now(), "%s: %s", m.Name, news)
			}
		}
		ended := ended(states)
		if restart && halfway(rows) {
			restart = false
			if err := w.site.restart(ctx); err != nil {
				return states, err
			}
			s.Say(time.Now(), "server restarted, every line cut in mid-download")
		}
		if ended == len(w.machines) && w.allOn() {
			return states, nil
		}
		if err := w.pause(ctx, 100*time.Millisecond); err != nil {
			return states, err
		}
	}
}

// halfway reports whether the fleet has half of its bytes.
func halfway(rows []Row) bool {
	parts := 0.0
	for _, r := range rows {
		parts += r.Part
	}
	return parts*2 >= float64(len(rows))
}

func ended(states map[*Machine]client.Assignment) (n int) {
	for _, a := range states {
		if deployment.State(a.State).Final() {
			n++
		}
	}
	return n
}

// allOn reports whether every machine is on and idle again.
func (w *World) allOn() bool {
	for _, m := range w.machines {
		if !m.idle() {
			return false
		}
	}
	return true
}

func tally(c Chapter, states map[*Machine]client.Assignment) result {
	r := result{chapter: c, ends: map[deployment.State]int{}, details: map[string]int{}}
	for m, a := range states {
		state := deployment.State(a.State)
		r.ends[state]++
		if state != deployment.Done && state.Final() {
			r.details[a.Detail]++
		}
		if state != c.Expect {
			r.wrong = append(r.wrong, fmt.Sprintf("%s is %s (%s), want %s", m.Name, state, a.Detail, c.Expect))
		}
	}
	slices.Sort(r.wrong)
	return r
}

// conclude prints what happened to whom, and looks at the disks themselves.
func (w *World) conclude(s *Screen, results []result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-9s %-58s %-40s %s\n", "release", "what it is", "what became of it", "as it should")
	wrong := 0
	for _, r := range results {
		verdict := "yes"
		if len(r.wrong) > 0 {
			verdict = fmt.Sprintf("NO, %d devices", len(r.wrong))
		}
		fmt.Fprintf(&b, "%-9s %-58s %-40s %s\n", "fw-"+r.chapter.Image.Version, r.chapter.What, r, verdict)
		for _, why := range slices.Sorted(maps.Keys(r.details)) {
			fmt.Fprintf(&b, "          %3d × %s\n", r.details[why], why)
		}
		for _, line := range r.wrong {
			fmt.Fprintf(&b, "          %s\n", line)
		}
		wrong += len(r.wrong)
	}
	b.WriteString(w.traffic())
	s.Print(b.String())
	if wrong > 0 {
		return fmt.Errorf("%w: %d reports", ErrStory, wrong)
	}
	return nil
}

// traffic says how much went over which link, and for how many devices.
func (w *World) traffic() string {
	devices := map[string]int{}
	for _, m := range w.machines {
		devices[w.road(m)]++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-22s %8s %12s %14s\n", "link", "devices", "MiB in all", "MiB a device")
	roads := w.roads()
	for _, road := range []string{byHTTP, byMQTT, byGateway} {
		if n := devices[road]; n > 0 {
			mib := float64(roads[road]) / (1 << 20)
			fmt.Fprintf(&b, "%-22s %8d %12.1f %14.1f\n", road, n, mib, mib/float64(n))
		}
	}
	if n := devices[byGateway]; n > 0 {
		mib := float64(roads[uplink]) / (1 << 20)
		fmt.Fprintf(&b, "%-22s %8d %12.1f %14.1f\n", uplink, n, mib, mib/float64(n))
	}
	return b.String()
}

// Inspect looks at the disks of every machine, all off: each must boot the
// version that the last chapter leaves, with nothing on trial.
func (w *World) Inspect() error {
	last := story[len(story)-1]
	var errs []error
	for _, m := range w.machines {
		t, err := m.Inspect()
		switch {
		case err != nil:
			errs = append(errs, err)
		case t.Running != last.Runs || t.Trial:
			errs = append(errs, fmt.Errorf("%w: %s would boot %s (trial %v), want %s", ErrStory, m.Name, t.Running, t.Trial, last.Runs))
		}
	}
	return errors.Join(errs...)
}

func (w *World) cuts() (n int) {
	for _, m := range w.machines {
		n += m.cutCount()
	}
	return n
}

func (w *World) disarm() {
	for _, m := range w.machines {
		m.PullAfter(0)
	}
}
