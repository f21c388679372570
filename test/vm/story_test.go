//go:build vm

package main

import (
	"bytes"
	"os"
	"testing"
	"time"
)

// A chapter is a part of a story.
type chapter struct {
	name string
	tell func(*world)
	long bool // only with -nightly
}

// everyones begin the story of each machine. Each begins where the one before
// it ended.
var everyones = []chapter{
	{"update", update, false}, {"init crashes", crash, true}, {"self-test fails", selfTest, true}, {"kernel panics", kernelPanics, true},
}

// stories go on so.
var stories = map[string][]chapter{
	"sbl":   {{"kernel is none", sblNoKernel, true}, {"a bit flips", sblFlip, true}, {"after all that", again, true}, {"nothing to start", sblNothing, true}},
	"uboot": {{"kernel is none", noKernel, true}, {"a bit flips in the superblock", flipSuper, true}, {"a bit flips in a file", flipFile, true}, {"after all that", again, true}},
	"grub":  {{"kernel is none", noKernel, true}, {"a bit flips in the superblock", flipSuper, true}, {"a bit flips in a file", flipFile, true}, {"after all that", again, true}},
}

// gaveUp is what a loader says when a trial has no tries left.
var gaveUp = map[string]string{"sbl": "used up its tries", "uboot": "not confirmed, going back", "grub": "used up its tries"}

// TestStory tells what can happen to one machine.
func TestStory(t *testing.T) {
	for _, name := range []string{"sbl", "uboot", "grub"} {
		t.Run(name, func(t *testing.T) { story(t, name) })
	}
}

func story(t *testing.T, name string) {
	w := newWorld(t, name, 1)
	w.power()
	w.join()
	for _, c := range append(everyones[:len(everyones):len(everyones)], stories[name]...) {
		if c.long && !*nightly {
			continue
		}
		began := time.Now()
		if !t.Run(c.name, func(t *testing.T) { w.T = t; c.tell(w) }) {
			t.Fatalf("the console said\n%s", w.con.tail())
		}
		t.Logf("%s: %v", c.name, time.Since(began).Round(time.Second))
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
	w.says(gaveUp[w.name])
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

// noKernel cannot be jumped to.
func noKernel(w *world) {
	w.deploy(release{name: "v8", kernel: w.p.busybox}, "rolled-back")
	w.runs("v2")
}

// sblNoKernel: the loader starts the machine anew until the tries are used up.
func sblNoKernel(w *world) {
	before := w.con.count("start slot A: load kernel")
	noKernel(w)
	if n := w.con.count("start slot A: load kernel") - before; n != 2 {
		w.Errorf("the loader tried it %d times, want 2", n)
	}
}

// installed deploys v6 into slot A and pulls the plug when it is flagged.
func installed(w *world, r release) (id string) {
	w.con.skip()
	id = w.create(r)
	w.waits("msg=rebooting")
	w.off()
	return id
}

// sblFlip: the loader does not start an image of which one bit has changed.
func sblFlip(w *world) {
	id := installed(w, release{name: "v6"})
	w.has("run slot A: A is on trial, 1 tries left")
	w.ok(w.disk.flip("moult-a", 20*mib))
	w.has("run slot B: A is unfit: verify image of 41943040 bytes: image digest does not match; B is current")
	w.power()
	w.ended(id, "rolled-back")
	if n := w.con.count("artifact_name=v6"); n != 0 {
		w.Error("the changed image was started")
	}
	w.runs("v2")
}

// flipSuper: these loaders do not look at the image. A bit of the file system's
// superblock is enough for Linux not to mount it; that costs a try each time.
func flipSuper(w *world) {
	id := installed(w, release{name: "v6"})
	w.has("upgrade_available=1")
	w.ok(w.disk.flip("moult-a", 1024+0x78))
	w.power()
	w.ended(id, "rolled-back")
	w.says(gaveUp[w.name])
	if n := w.con.count("artifact_name=v6"); n != 0 {
		w.Error("the changed image runs")
	}
	w.runs("v2")
}

// flipFile: a bit that changes after the agent has read the image back, in a
// file that nobody reads, is not noticed: the changed image is confirmed. So it
// went with one in the kernel, too, which Debian packs without a checksum. Only
// a loader that verifies, or a kernel with dm-verity, would see it.
func flipFile(w *world) {
	path := w.desk.path("unread")
	w.ok(os.WriteFile(path, bytes.Repeat([]byte("nobody reads this\n"), 5000), 0o644))
	id := installed(w, release{name: "v9", unread: path})
	at := w.find("v9", path)
	w.ok(w.disk.flip("moult-a", at))
	w.ok(flipAt(w.desk.path("v9.ext4"), at)) // the disk holds just this
	w.power()
	w.ended(id, "done")
	w.runs("v9")
}

func again(w *world) {
	w.deploy(release{name: "v7"}, "done")
	w.runs("v7")
}

// sblNothing spoils both slots: the loader starts neither, and says so. With its
// image back the board starts without being told.
func sblNothing(w *world) {
	w.off()
	w.con.skip()
	w.ok(w.disk.flip("moult-a", mib))
	w.ok(w.disk.flip("moult-b", mib))
	w.power()
	w.waits("decision     recover")
	w.waits("nothing to start; another look in 3s")
	w.off()
	w.ok(w.disk.flip("moult-a", mib))
	w.power()
	w.waits("artifact_name=v7")
}

// find returns where a file begins in the image of a release.
func (w *world) find(name, file string) int64 {
	w.Helper()
	image, err := os.ReadFile(w.desk.path(name + ".ext4"))
	w.ok(err)
	text, err := os.ReadFile(file)
	w.ok(err)
	at := bytes.Index(image, text[:1024])
	if at < 0 {
		w.Fatalf("%s does not stand in the image of %s", file, name)
	}
	return int64(at)
}
