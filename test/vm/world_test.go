//go:build vm

package main

import (
	"bytes"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	loud    = flag.Bool("console", false, "show the machine's console")
	nightly = flag.Bool("nightly", false, "tell all stories, and cut the power often; over an hour")
)

// most is how long anything may take on a slow computer: an update with two
// starts that fail is five starts of two kernels.
const most = 4 * time.Minute

// home is the folder of the project; packages are fetched and programs built
// there, once for all machines.
var home = sync.OnceValues(func() (parts, error) {
	if err := os.Chdir("../.."); err != nil {
		return parts{}, err
	}
	return gather()
})

// A world is a server and one machine that was made with release v1.
type world struct {
	*testing.T
	name    string
	p       parts
	board   board
	desk    *desk
	disk    *disk
	plug    *plug
	m       *machine
	con     *console
	chance  *rand.Rand
	id      string // of the device
	started int    // starts that each has looked at
}

func newWorld(t *testing.T, name string, seed uint64) *world {
	b := boards[name]
	w := &world{T: t, name: name, board: b, chance: rand.New(rand.NewPCG(seed, 0))}
	var err error
	w.p, err = home()
	w.ok(err)
	w.desk, err = w.p.open(b, t.TempDir())
	w.ok(err)
	t.Cleanup(w.desk.close)
	w.disk, err = w.desk.factory(w.unlike("v1"))
	w.ok(err)
	w.plug, err = newPlug(w.disk, w.desk.path("socket"))
	w.ok(err)
	t.Cleanup(w.plug.close)
	w.con = &console{also: io.Discard}
	if *loud {
		w.con.also = os.Stdout
	}
	t.Cleanup(func() {
		if w.m != nil {
			w.m.off()
		}
	})
	return w
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// power starts the machine.
func (w *world) power() {
	w.Helper()
	m, err := w.desk.power(w.desk.path("socket"), w.con)
	w.ok(err)
	w.m = m
}

// off pulls the plug. What was not flushed may be lost.
func (w *world) off() { w.lose(w.chance.Float64()) }

func (w *world) lose(keep float64) (had, kept int) {
	w.Helper()
	w.m.off()
	had, kept, err := w.plug.cut(w.chance, keep)
	w.ok(err)
	return had, kept
}

func (w *world) waits(text string) {
	w.Helper()
	w.ok(w.con.wait(text, most))
}

func (w *world) says(text string) {
	w.Helper()
	if w.con.count(text) == 0 {
		w.Errorf("the console never said %q", text)
	}
}

// join accepts the device, whose request is the only one.
func (w *world) join() {
	w.Helper()
	w.waits("waits for acceptance")
	w.id = strings.TrimSpace(w.moult("device", "list", "-o", "name"))
	w.moult("device", "accept", w.id)
}

func (w *world) moult(args ...string) string {
	w.Helper()
	out, err := w.desk.run(args...)
	w.ok(err)
	return out
}

// create publishes a release and deploys it.
func (w *world) create(r release) string {
	w.Helper()
	w.ok(w.desk.publish(r))
	return w.start(r.name)
}

// start deploys a release that is published.
func (w *world) start(name string) string {
	w.Helper()
	return strings.TrimSpace(w.moult("deploy", "create", name, "--all", "-q", "-o", "name"))
}

// deploy sees a deployment of r through to its end, and returns the device's
// log of it.
func (w *world) deploy(r release, want string) string {
	w.Helper()
	id := w.create(r)
	w.ended(id, want)
	out, _ := w.desk.run("deploy", "log", id, w.id) // there is none of what went well
	return out
}

var howEnded = regexp.MustCompile(`1 of 1 ended: ([a-z-]+) 1`)

func (w *world) ended(id, want string) {
	w.Helper()
	if got := w.state(w.watch(id)); got != want {
		w.Fatalf("the deployment ended %s, want %s", got, want)
	}
}

// runs asks the server what is installed, and the disk whether all of it is
// there.
func (w *world) runs(name string) {
	w.Helper()
	w.shows(name)
	if up := w.whole(); up != name {
		w.Errorf("what started last is %s, want %s", up, name)
	}
}

// shows waits until the server has heard what is installed.
func (w *world) shows(name string) {
	w.Helper()
	end := time.Now().Add(30 * time.Second) // the inventory comes after the report
	out := ""
	for !strings.Contains(out, `"artifact_name": "`+name+`"`) {
		if time.Now().After(end) {
			w.Fatalf("device show said\n%swant artifact_name %s", out, name)
		}
		time.Sleep(200 * time.Millisecond)
		out = w.moult("device", "show", w.id, "-o", "json")
	}
}

var isUp = regexp.MustCompile(`vm: artifact_name=(\S+) is up: .*moult\.slot=([AB])`)

// whole compares what the console said last that it started with the release
// of that name, bit by bit, and returns the name.
func (w *world) whole() string {
	w.Helper()
	up := isUp.FindAllStringSubmatch(w.con.all(), -1)
	if up == nil {
		return "nothing"
	}
	name, in := up[len(up)-1][1], up[len(up)-1][2]
	want, err := os.ReadFile(w.desk.path(name + ".ext4"))
	w.ok(err)
	got := make([]byte, len(want))
	w.ok(w.plug.read(got, w.disk.parts["moult-"+strings.ToLower(in)].Start))
	if !bytes.Equal(got, want) {
		w.Errorf("slot %s, which was started, does not hold the image of %s", in, name)
	}
	return name
}

func (w *world) logged(log, text string) {
	w.Helper()
	if !strings.Contains(log, text) {
		w.Errorf("the device's log is\n%swant %q in it", log, text)
	}
}

// has looks at the loader's variables on the disk of a machine that is off.
func (w *world) has(want string) {
	w.Helper()
	got, err := w.board.variables(w.disk)
	w.ok(err)
	if !strings.Contains(got, want) {
		w.Errorf("the loader has\n%swant %s", got, want)
	}
}
