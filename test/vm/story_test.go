//go:build vm

package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/sbl"
	"github.com/moult-ota/moult/internal/sbl/sbltest"
)

var loud = flag.Bool("console", false, "show the machine's console")

// most is how long anything may take on a slow computer: an update with two
// starts that fail is five starts of two kernels.
const most = 4 * time.Minute

// A world is a server and one machine that was made with release v1.
type world struct {
	*testing.T
	p    parts
	desk *desk
	disk *sbltest.Disk
	m    *machine
	con  *console
	id   string // of the device
}

// TestStory tells what can happen to one machine. Each part begins where the
// one before it ended.
func TestStory(t *testing.T) {
	if err := os.Chdir("../.."); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.power()
	w.join()
	tests := []struct {
		name string
		part func(*world)
	}{
		{"update", update}, {"init crashes", crash}, {"self-test fails", selfTest}, {"kernel panics", kernelPanics}, {"kernel is none", noKernel},
		{"a bit flips", flip}, {"after all that", again}, {"nothing to start", nothing},
	}
	for _, tt := range tests {
		began := time.Now()
		if !t.Run(tt.name, func(t *testing.T) { w.T = t; tt.part(w) }) {
			t.Fatalf("the console said\n%s", w.con.tail())
		}
		t.Logf("%s: %v", tt.name, time.Since(began).Round(time.Second))
	}
}

func update(w *world) {
	w.deploy(release{name: "v2"}, "done")
	w.says("moult.slot=B")
	w.runs("v2")
}

// crash: the init of v3 ends, so its kernel panics and starts the machine
// anew, as often as there are tries.
func crash(w *world) {
	before := w.con.count("init crashes")
	log := w.deploy(release{name: "v3", init: crashingInit}, "rolled-back")
	if n := w.con.count("init crashes") - before; n != 2 {
		w.Errorf("it started %d times, want 2", n)
	}
	w.says("used up its tries")
	w.logged(log, "slot")
	w.runs("v2")
}

func selfTest(w *world) {
	log := w.deploy(release{name: "v4", health: failingTest}, "rolled-back")
	w.logged(log, "the sensor does not answer")
	w.runs("v2")
}

func kernelPanics(w *world) {
	before := w.con.count("the kernel panics")
	w.deploy(release{name: "v5", initrd: panickingInitrd}, "rolled-back")
	if n := w.con.count("the kernel panics") - before; n != 2 {
		w.Errorf("it started %d times, want 2", n)
	}
	w.runs("v2")
}

// noKernel cannot be jumped to: the loader starts the machine anew until the
// tries are used up.
func noKernel(w *world) {
	before := w.con.count("start slot A: load kernel")
	w.deploy(release{name: "v8", kernel: w.p.busybox}, "rolled-back")
	if n := w.con.count("start slot A: load kernel") - before; n != 2 {
		w.Errorf("the loader tried it %d times, want 2", n)
	}
	w.runs("v2")
}

// flip pulls the plug after v6 was installed and flagged, and changes one bit
// of it.
func flip(w *world) {
	w.con.skip()
	id := w.create(release{name: "v6"})
	w.waits("msg=rebooting")
	w.m.off()
	w.decides("run slot A: A is on trial, 1 tries left")
	w.ok(w.disk.Flip("a", 20*mib))
	w.decides("run slot B: A is unfit: verify image of 41943040 bytes: image digest does not match; B is current")
	w.power()
	w.ended(id, "rolled-back")
	if n := w.con.count("artifact_name=v6"); n != 0 {
		w.Error("the changed image was started")
	}
	w.runs("v2")
}

func again(w *world) {
	w.deploy(release{name: "v7"}, "done")
	w.runs("v7")
}

// nothing spoils both slots: the loader starts neither, and says so. With its
// image back the board starts without being told.
func nothing(w *world) {
	w.m.off()
	w.con.skip()
	w.ok(w.disk.Flip("a", mib))
	w.ok(w.disk.Flip("b", mib))
	w.power()
	w.waits("decision     recover")
	w.waits("nothing to start; another look in 3s")
	w.ok(w.disk.Flip("a", mib))
	w.m.off()
	w.power()
	w.waits("artifact_name=v7")
}

func newWorld(t *testing.T) *world {
	w := &world{T: t}
	var err error
	w.p, err = gather()
	w.ok(err)
	w.desk, err = w.p.open(t.TempDir())
	w.ok(err)
	t.Cleanup(w.desk.close)
	w.disk, err = w.desk.factory(w.p, release{name: "v1"})
	w.ok(err)
	w.ok(w.p.bootInitrd(w.desk.path("release.pub"), w.desk.path("boot.img")))
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
	m, err := w.p.power(w.disk.Path, w.desk.path("boot.img"), w.con)
	w.ok(err)
	w.m = m
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
	w.ok(w.desk.publish(w.p, r))
	return strings.TrimSpace(w.moult("deploy", "create", r.name, "--all", "-q", "-o", "name"))
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

func (w *world) ended(id, want string) {
	w.Helper()
	out, _ := w.desk.run("deploy", "watch", id, "--timeout", most.String())
	if !strings.Contains(out, "1 of 1 ended: "+want+" 1") {
		w.Fatalf("deploy watch said\n%swant %s", out, want)
	}
}

// runs asks the server what is installed.
func (w *world) runs(name string) {
	w.Helper()
	end := time.Now().Add(30 * time.Second) // the inventory comes after the report
	out := ""
	for ; time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if out = w.moult("device", "show", w.id, "-o", "json"); strings.Contains(out, `"artifact_name": "`+name+`"`) {
			return
		}
	}
	w.Errorf("device show said\n%swant artifact_name %s", out, name)
}

func (w *world) logged(log, text string) {
	w.Helper()
	if !strings.Contains(log, text) {
		w.Errorf("the device's log is\n%swant %q in it", log, text)
	}
}

// decides asks moult-sbl --dry-run about the disk of a machine that is off.
func (w *world) decides(want string) {
	w.Helper()
	var out bytes.Buffer
	if code := sbl.Main([]string{"--dry-run", w.disk.Path}, &out, &out); code != 0 || !strings.Contains(out.String(), want) {
		w.Errorf("--dry-run = %d:\n%swant %s", code, &out, want)
	}
}
