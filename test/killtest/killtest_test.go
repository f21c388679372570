// Package killtest kills a server again and again while devices update, and
// then asks whether anything that was acknowledged is gone, and whether
// anybody was updated twice.
package killtest

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/cli"
)

var (
	seed  = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the moments at which the server is killed")
	kills = flag.Int("kills", 50, "how often the server is killed")
)

const (
	devices = 20
	// Deployments run one after the other until there were enough kills; on a
	// fast machine most end before one comes.
	maxDeployments = 2000
	budget         = 55 * time.Second
)

// asServer makes this test's binary the program moult: the server is a
// process of its own, and dies like one.
const asServer = "MOULT_KILLTEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestKill(t *testing.T) {
	t.Logf("seed %d; again with: go test ./test/killtest -args -seed %d", *seed, *seed)
	rng := rand.New(rand.NewPCG(*seed, 0))
	s := start(t)
	fleet := join(t, s)
	k := &killer{server: s, rng: rng}
	began := time.Now()
	var made []client.Deployment
	for k.done < *kills && len(made) < maxDeployments && time.Since(began) < budget && !fleet.lost.Load() {
		made = append(made, s.deploy(t, len(made)))
		k.during(t, fleet.update(made[len(made)-1].ID))
	}
	if k.done < *kills {
		t.Fatalf("only %d kills in %d deployments and %s", k.done, len(made), time.Since(began).Round(time.Second))
	}
	t.Logf("%d kills in %d deployments, %d reports sent again, %s", k.done, len(made), fleet.repeated.Load(), time.Since(began).Round(time.Second))
	for _, d := range made {
		check(t, s, fleet, d)
	}
	checkEvents(t, s, made)
}

// A killer ends the server at random moments.
type killer struct {
	server *server
	rng    *rand.Rand
	done   int
}

// during kills until the devices are through, or there were enough kills.
func (k *killer) during(t *testing.T, finished <-chan struct{}) {
	t.Helper()
	for k.done < *kills {
		pause := time.Duration(k.rng.IntN(150)) * time.Millisecond
		select {
		case <-finished:
			return
		case <-time.After(pause):
		}
		k.server.kill(t)
		k.done++
		k.server.run(t)
	}
	<-finished
}

// check compares what the server kept of a deployment with what it had
// acknowledged to the devices.
func check(t *testing.T, s *server, f *fleet, d client.Deployment) {
	t.Helper()
	now, err := s.ShowDeployment(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	if now.Status != "finished" || now.Size != devices {
		t.Errorf("deployment %s is %s for %d devices, want finished for %d", d.Name, now.Status, now.Size, devices)
	}
	page, err := s.ListAssignments(t.Context(), d.ID, client.ListAssignmentsParams{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int64{}
	for _, a := range page.Items {
		rows[a.State]++
		if a.Attempt != 1 {
			t.Errorf("device %s made %d attempts in %s, want 1", a.Device, a.Attempt, d.Name)
		}
		checkSteps(t, s, f, d, a.Device)
	}
	if !maps.Equal(rows, now.Counts) || rows["done"] != devices {
		t.Errorf("deployment %s: counts %v, rows %v, want %d done in both", d.Name, now.Counts, rows, devices)
	}
}

func checkSteps(t *testing.T, s *server, f *fleet, d client.Deployment, id string) {
	t.Helper()
	steps, err := s.ListTransitions(t.Context(), d.ID, id)
	if err != nil {
		t.Fatal(err)
	}
	kept := []string{}
	for _, step := range steps.Items {
		kept = append(kept, step.To)
	}
	dev := f.byID[id]
	want := append([]string{"offered"}, dev.acknowledged[d.ID]...)
	if !slices.Equal(kept, want) {
		t.Errorf("device %s in %s: kept %s, acknowledged %s", id, d.Name, strings.Join(kept, " "), strings.Join(want, " "))
	}
	if n := dev.installs[d.ID]; n != 1 {
		t.Errorf("device %s installed %s %d times, want once", id, d.Name, n)
	}
}

// checkEvents reads the outbox from its beginning: each update ended once.
func checkEvents(t *testing.T, s *server, made []client.Deployment) {
	t.Helper()
	ended := map[string]int{}
	want := devices * len(made)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for e, err := range s.Events(ctx, client.WatchEventsParams{LastEventID: 1, Kind: "assignment"}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.State == "done" {
			ended[e.Deployment+" "+e.Device]++
			want--
		}
		if want == 0 {
			break
		}
	}
	if want != 0 {
		t.Errorf("outbox lacks %d updates that are done", want)
	}
	for who, n := range ended {
		if n != 1 {
			t.Errorf("outbox says %d times that %s is done", n, who)
		}
	}
}

// together runs do for every device and returns a channel that closes when
// all have returned.
func together(all []*dev, do func(*dev)) <-chan struct{} {
	var group sync.WaitGroup
	for _, d := range all {
		group.Go(func() { do(d) })
	}
	finished := make(chan struct{})
	go func() { group.Wait(); close(finished) }()
	return finished
}

func release(n int) string { return fmt.Sprintf("r%d", n) }
