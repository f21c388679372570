//go:build vm

package main

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// A moment is when the power goes: when some sectors of some partitions were
// written, or some time after the console said something.
type moment struct {
	name        string
	first, last string // partitions
	writes      int    // sectors, at most
	after       string
	within      time.Duration
}

// deciding are the partitions where agent and loader write what starts; writes
// is about what an update writes there.
var deciding = map[string]moment{
	"sbl":   {first: "moult-register", last: "moult-register", writes: 60},
	"uboot": {first: "env1", last: "env2", writes: 130},
	"grub":  {first: "boot", last: "boot", writes: 100},
}

// different is how many bytes of an image are in no other.
const different = 3 * mib

// moments are those of an update, on a machine.
func moments(name string) []moment {
	at := deciding[name]
	at.name = "write of what starts"
	return []moment{
		at,
		{name: "write of the image", first: "moult-a", last: "moult-b", writes: different / sectorSize},
		{name: "write of the agent's state", first: "moult-data", last: "moult-data", writes: 300},
		{name: "any time", within: 10 * time.Second},
		{name: "between reboot and confirm", after: "msg=rebooting", within: 12 * time.Second},
	}
}

// TestCuts updates machines to and fro, and cuts their power meanwhile. Each
// update ends in a state that the server knows, and whatever starts is an image
// of which no bit is missing.
//
// VM_SEED=n chooses the same moments again, as far as a machine that runs in
// real time comes by them; VM_CUTS=n so many cuts on each machine.
func TestCuts(t *testing.T) {
	seed := number(t, "VM_SEED", int(time.Now().Unix()))
	cuts := 4
	if *nightly {
		cuts = 34
	}
	cuts = number(t, "VM_CUTS", cuts)
	for i, name := range []string{"sbl", "uboot", "grub"} {
		t.Run(name, func(t *testing.T) {
			t.Logf("VM_SEED=%d", seed)
			w := newWorld(t, name, uint64(seed+i))
			defer func() {
				if t.Failed() {
					t.Logf("VM_SEED=%d; the console said\n%s", seed, w.con.tail())
				}
			}()
			w.cuts(cuts)
		})
	}
}

func number(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func (w *world) cuts(n int) {
	w.ok(w.desk.upload("v1"))
	for _, name := range []string{"v2", "v3"} {
		w.ok(w.desk.publish(w.unlike(name)))
	}
	w.power()
	w.join()
	began := time.Now()
	has, next := "v1", 0
	for done := 0; done < n && !w.Failed(); next++ {
		// The third of three is in neither slot: all of it has to be written.
		other := []string{"v2", "v3", "v1"}[next%3]
		if other == has {
			continue
		}
		id := w.start(other)
		said := w.watch(id)
		for range 1 + w.chance.IntN(2) {
			if done < n && w.cutOnce(said) {
				done++
			}
		}
		state := w.state(said)
		w.Logf("%s to %s: %s; %d cuts in %v", has, other, state, done, time.Since(began).Round(time.Second))
		switch state {
		case "done":
			has = other
		case "rolled-back", "failed":
		default:
			w.Fatalf("the deployment ended %q", state)
		}
		w.runs(has)
	}
}

// unlike is a release with much that is in no other.
func (w *world) unlike(name string) release {
	w.Helper()
	noise := make([]byte, different)
	for i := range noise {
		noise[i] = byte(w.chance.Uint32())
	}
	path := w.desk.path(name + ".noise")
	w.ok(os.WriteFile(path, noise, 0o644))
	return release{name: name, unread: path}
}

// cutOnce waits for a moment and cuts the power, unless the update ends before.
func (w *world) cutOnce(said <-chan string) bool {
	those := moments(w.name)
	m := those[w.chance.IntN(len(those))]
	var t trap
	if m.writes > 0 {
		from, to := w.disk.parts[m.first], w.disk.parts[m.last]
		t = trap{from: from.Start / sectorSize, to: (to.Start + to.Size) / sectorSize, writes: 1 + w.chance.IntN(m.writes)}
	}
	wait := time.Duration(w.chance.Int64N(max(1, int64(m.within))))
	keep := []float64{0, w.chance.Float64(), 1}[w.chance.IntN(3)]
	w.con.skip()
	w.plug.set(t)
	if !w.comes(m, t, wait, said) {
		w.plug.set(trap{})
		w.Logf("%s: the update ended before", m.name)
		return false
	}
	had, kept := w.lose(keep)
	at := wait.Round(time.Millisecond).String()
	if t.writes > 0 {
		at = fmt.Sprint("sector ", t.writes)
	}
	w.Logf("cut: %s, %s; of %d sectors not flushed %d stay", m.name, at, had, kept)
	w.power()
	return true
}

// comes waits for a moment; false means that the update ended before.
func (w *world) comes(m moment, t trap, wait time.Duration, said <-chan string) bool {
	var due time.Time
	if m.after == "" {
		due = time.Now().Add(wait)
	}
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		w.each()
		switch {
		case len(said) > 0:
			return false
		case t.writes > 0 && w.plug.gone():
			return true
		case t.writes > 0:
		case due.IsZero() && w.con.pass(m.after):
			due = time.Now().Add(wait)
		case !due.IsZero() && time.Now().After(due):
			return true
		}
	}
	w.Fatalf("%s does not come, and the update does not end, in %v", m.name, most)
	return false
}

// each checks what was started, when it was.
func (w *world) each() {
	if n := w.con.count(" is up: "); n > w.started {
		w.started = n
		w.whole()
	}
}

// watch says how the server says that a deployment ended.
func (w *world) watch(id string) <-chan string {
	said := make(chan string, 1)
	go func() {
		out, err := w.desk.run("deploy", "watch", id, "--timeout", "15m")
		said <- fmt.Sprint(out, err)
	}()
	return said
}

// state waits for the end of a deployment and returns its state.
func (w *world) state(said <-chan string) string {
	w.Helper()
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		w.each()
		select {
		case out := <-said:
			if m := howEnded.FindStringSubmatch(out); m != nil {
				return m[1]
			}
			w.Fatalf("deploy watch said\n%s", out)
		default:
		}
	}
	w.Fatalf("the update did not end in %v after the last cut", most)
	return ""
}
