package agent

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/slot"
)

// raise sends a signal to this program, and gives it time to arrive.
func raise(s syscall.Signal) {
	syscall.Kill(os.Getpid(), s)
	time.Sleep(50 * time.Millisecond)
}

func (b *box) daemon(p *post) []string {
	b.ok(os.WriteFile(b.path("reboot"), []byte("#!/bin/sh\nkill -TERM $PPID\n"), 0o755))
	return []string{"daemon", "--servers", p.URL, "--poll", "10ms", "--retry", "10ms", "--reboot-command", b.path("reboot")}
}

// TestHangUpWaitsForTheUpdate: what an upgrade of the package does in the
// middle of an installation. The old program finishes it, and leaves after.
func TestHangUpWaitsForTheUpdate(t *testing.T) {
	b := newBox(t).setup()
	server := newPost(t, "fw-2", b.pack("fw-2", true))
	server.serving = func() { raise(syscall.SIGHUP) }
	b.run(exitOK, b.daemon(server)...)
	if got := server.words(); got != "downloading installing rebooting" {
		t.Errorf("hung up during the download, it said %q", got)
	}
	running := b.reboot()
	if running != "--running=B" {
		t.Fatalf("the loader starts %s", running)
	}
	server.settled = func() { go raise(syscall.SIGHUP) }
	b.run(exitOK, append(b.daemon(server), running, "--poll", "1h")...) // else it would wait for an hour
	if got := server.words(); got != "downloading installing rebooting installing success" {
		t.Errorf("at the end it had said %q", got)
	}
}

// TestStoppedWhileInstalling: systemctl stop in the middle of a download, and
// start later. The slot that runs is whole at every time.
func TestStoppedWhileInstalling(t *testing.T) {
	b := newBox(t).setup()
	server := newPost(t, "fw-2", b.pack("fw-2", true))
	server.serving = func() { raise(syscall.SIGTERM) }
	b.run(exitOK, b.daemon(server)...)
	if got := server.words(); got != "downloading" {
		t.Errorf("stopped during the download, it had said %q", got)
	}
	f, err := slot.OpenFile(b.path("a"))
	b.ok(err)
	defer f.Close()
	if _, err := slot.Check(f); err != nil {
		t.Errorf("the running slot: %v", err)
	}
	server.serving = func() {}
	b.run(exitOK, b.daemon(server)...)
	if got := b.reboot(); got != "--running=B" {
		t.Errorf("started again, it said %q, and the loader starts %s", server.words(), got)
	}
}
