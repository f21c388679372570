package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// A release is what differs between the images of a story.
type release struct {
	name    string
	health  string // script of the self-test; empty: none
	init    string // the slot's /sbin/init; empty: the one that runs the agent
	initrd  string // /init of the slot's initrd; empty: the one that mounts the slot
	kernel  string // file; empty: Debian's
	servers string // for the agent
}

// imageSize is the size of a slot's file system, slotSize that of the slot;
// dataSize is for what outlives updates. All in MiB.
const (
	imageSize = 40
	slotSize  = 48
	dataSize  = 16
)

// bootInitrd makes the initrd of the boot kernel: moult-sbl and what it needs
// to see the disk.
func (p parts) bootInitrd(key, path string) error {
	dir, err := os.MkdirTemp("", "vm")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := tree{dir: dir}
	t.copy("init", p.bin+"/moult-sbl")
	t.copy("bin/sh", p.busybox)
	t.text("etc/moult/sbl.conf", sblConf)
	t.copy("etc/moult/release.pub", key)
	for i, m := range p.modules[:len(disks)] {
		t.copy(fmt.Sprintf("lib/modules/%02d.ko", i), m)
	}
	if t.err != nil {
		return t.err
	}
	return initrd(dir, path)
}

// image makes the file system of a release, with kernel and initrd inside.
func (p parts) image(r release, key, path string) error {
	dir, err := os.MkdirTemp("", "vm")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Mkdir(dir+"/root", 0o755); err != nil {
		return err
	}
	t := tree{dir: dir + "/root"}
	p.system(&t, r, key)
	t.copy("boot/vmlinuz", or(r.kernel, p.kernel))
	if t.err != nil {
		return t.err
	}
	if err := p.slotInitrd(r, dir+"/initrd", dir+"/root/boot/initrd.img"); err != nil {
		return err
	}
	return ext4(path, imageSize, dir+"/root")
}

func (p parts) system(t *tree, r release, key string) {
	t.copy("bin/busybox", p.busybox)
	t.copy("bin/sh", p.busybox)
	t.copy("bin/moult-agent", p.bin+"/moult-agent")
	t.copy("etc/moult/release.pub", key)
	t.text("etc/moult/artifact_info", "artifact_name="+r.name+"\n")
	t.text("etc/moult/agent.json", fmt.Sprintf(agentConf, r.servers))
	t.text("sbin/init", or(r.init, slotInit))
	if r.health != "" {
		t.text("etc/moult/health.d/test", r.health)
	}
	for _, dir := range []string{"dev", "proc", "sys", "tmp", "data"} {
		t.mkdir(dir)
	}
}

func (p parts) slotInitrd(r release, dir, path string) error {
	t := tree{dir: dir}
	t.copy("bin/busybox", p.busybox)
	t.copy("bin/sh", p.busybox)
	t.text("init", or(r.initrd, slotInitrd))
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
func ext4(path string, size int, dir string) error {
	_ = os.Remove(path)
	_, err := run(".", "mke2fs", "-q", "-t", "ext4", "-d", dir, "-E", "root_owner=0:0", path, fmt.Sprintf("%dM", size))
	return err
}

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
