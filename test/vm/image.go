package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// A release is what differs between the images of a story.
type release struct {
	name   string
	health string // script of the self-test; empty: none
	init   string // the slot's /sbin/init; empty: the one that runs the agent
	initrd string // /init of the slot's initrd; empty: the one that mounts the slot
	kernel string // file; empty: Debian's
	unread string // file that is in the image for nobody; empty: none
}

// imageSize is the size of a slot's file system, slotSize that of the slot;
// dataSize is for what outlives updates. All in MiB.
const (
	imageSize = 40
	slotSize  = 48
	dataSize  = 16
)

// image makes the file system of a release, with kernel and initrd inside.
func (d *desk) image(r release, path string) error {
	p := d.parts
	dir, err := os.MkdirTemp("", "vm")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Mkdir(dir+"/root", 0o755); err != nil {
		return err
	}
	t := tree{dir: dir + "/root"}
	d.system(&t, r)
	t.copy("boot/vmlinuz", or(r.kernel, p.kernel))
	if t.err != nil {
		return t.err
	}
	if err := d.slotInitrd(r, dir+"/initrd", dir+"/root/boot/initrd.img"); err != nil {
		return err
	}
	return ext4(path, imageSize, dir+"/root")
}

func (d *desk) system(t *tree, r release) {
	p := d.parts
	t.copy("bin/busybox", p.busybox)
	t.copy("bin/sh", p.busybox)
	t.copy("bin/moult-agent", p.bin+"/moult-agent")
	t.copy("etc/moult/release.pub", d.path("release.pub"))
	t.text("etc/moult/artifact_info", "artifact_name="+r.name+"\n")
	t.text("etc/moult/agent.json", agentConf(d.board, d.seen()))
	t.text("sbin/init", or(r.init, fmt.Sprintf(slotInit, device(d.board, "moult-data"), d.board.setup())))
	if r.health != "" {
		t.text("etc/moult/health.d/test", r.health)
	}
	if r.unread != "" {
		t.copy("usr/share/unread", r.unread)
	}
	for _, dir := range []string{"dev", "proc", "sys", "tmp", "data", "boot/loader"} {
		t.mkdir(dir)
	}
}

func (d *desk) slotInitrd(r release, dir, path string) error {
	p := d.parts
	t := tree{dir: dir}
	t.copy("bin/busybox", p.busybox)
	t.copy("bin/sh", p.busybox)
	t.text("init", or(r.initrd, fmt.Sprintf(slotInitrd, device(d.board, "moult-a"), device(d.board, "moult-b"))))
	for i, m := range p.modules {
		t.copy(fmt.Sprintf("lib/modules/%02d.ko", i), m)
	}
	for _, dir := range []string{"dev", "proc", "sys", "root"} {
		t.mkdir(dir)
	}
	if t.err != nil {
		return t.err
	}
	return initrd(dir, path)
}

// ext4 makes a file system of size MiB with the files of dir.
func ext4(path string, size int64, dir string, more ...string) error {
	_ = os.Remove(path)
	args := append([]string{"-q", "-t", "ext4", "-d", dir, "-E", "root_owner=0:0"}, more...)
	_, err := run(".", "mke2fs", append(args, path, fmt.Sprintf("%dM", size))...)
	return err
}

// unsummed makes a file system that survives a superblock of which a cut left
// half: with sums it is refused until e2fsck ran, which these machines lack.
const unsummed = "-O^metadata_csum"

func or(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}

// A tree is a folder being filled. The first error stays.
type tree struct {
	dir string
	err error
}

func (t *tree) text(name, text string) {
	t.mkdir(filepath.Dir(name))
	if t.err == nil {
		t.err = os.WriteFile(filepath.Join(t.dir, name), []byte(text), 0o755)
	}
}

func (t *tree) copy(name, from string) {
	text, err := os.ReadFile(from)
	if t.err == nil {
		t.err = err
	}
	t.text(name, string(text))
}

func (t *tree) mkdir(name string) {
	if t.err == nil {
		t.err = os.MkdirAll(filepath.Join(t.dir, name), 0o755)
	}
}
