//go:build vm

package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// busyInit is a slot's init whose root file system is set up by hand once, and
// written to all the time. When a listener answers, it sends a snapshot of it.
const busyInit = `[ -f /etc/by-hand ] || echo "set up by hand on $($b ip -o link show eth0 | $b md5sum)" >/etc/by-hand
echo "vm: the data is: $($b cat /etc/by-hand)."
( n=0; while :; do n=$((n+1)); echo "line $n" >>/var/busy; $b sync; done ) &
( while ! $b wget -q -O /dev/null http://10.0.2.2:%[1]d/; do $b sleep 1; done
  moult-agent snapshot -C gzip --require-freeze | $b nc 10.0.2.2 %[1]d
  echo "vm: the snapshot is out; $($b wc -l </var/busy) lines" ) &
`

// TestSnapshot takes a snapshot of a machine while it writes, makes a release
// of it, and updates another machine to that.
func TestSnapshot(t *testing.T) {
	w := newWorld(t, "grub", 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.ok(err)
	defer l.Close()
	defer func() {
		if t.Failed() {
			t.Logf("the console said\n%s", w.con.tail())
		}
	}()
	w.started = 1 << 30 // its slots are written to: they are not what was installed
	w.power()
	w.join()
	first := w.id
	w.deploy(w.busy("busy", l.Addr().(*net.TCPAddr).Port), "done")
	w.waits("the data is: ")
	w.receive(l, w.desk.path("snapshot.gz"))
	w.waits("the snapshot is out")
	w.m.off()
	w.golden()

	w.another()
	w.waits("waits for acceptance")
	w.id = strings.TrimSpace(strings.Replace(w.moult("device", "list", "-o", "name"), first, "", 1))
	w.moult("device", "accept", w.id)
	w.con.skip()
	w.ended(strings.TrimSpace(w.moult("deploy", "create", "golden", "--device", w.id, "-q", "-o", "name")), "done")
	w.says("vm: the data is: set up by hand on")
	w.shows("golden")
	made := w.between("vm: the data is: set up by hand on ", ".")
	if len(made) < 2 || made[0] == "" || made[0] != made[len(made)-1] {
		w.Errorf("the machines have %q, want the same twice", made)
	}
}

// busy is a release that mounts its slot to write to it.
func (w *world) busy(name string, port int) release {
	initrd := fmt.Sprintf(slotInitrd, device(w.board, "moult-a"), device(w.board, "moult-b"))
	init := fmt.Sprintf(slotInit, device(w.board, "moult-data"), w.board.setup())
	init = strings.Replace(init, "while :; do moult-agent", fmt.Sprintf(busyInit, port)+"while :; do moult-agent", 1)
	return release{name: name, initrd: strings.Replace(initrd, "ro,noload", "rw", 1), init: strings.Replace(init, "export PATH=/bin", "export PATH=/bin\n/bin/busybox mkdir -p /var", 1)}
}

// receive lets the machine begin, by an answer to its question, and takes what
// it sends then.
func (w *world) receive(l net.Listener, path string) {
	w.Helper()
	end := time.Now().Add(most)
	w.ok(l.(*net.TCPListener).SetDeadline(end))
	for {
		c, err := l.Accept()
		w.ok(err)
		w.ok(c.SetDeadline(end))
		in := bufio.NewReader(c)
		if begin, _ := in.Peek(3); string(begin) != "GET" {
			w.keep(in, path)
			w.ok(c.Close())
			return
		}
		_, err = http.ReadRequest(in)
		w.ok(err)
		_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
		_ = c.Close()
	}
}

// keep stores a snapshot, which must have come to its end.
func (w *world) keep(in io.Reader, path string) {
	w.Helper()
	f, err := os.Create(path)
	w.ok(err)
	defer f.Close()
	z, err := gzip.NewReader(io.TeeReader(in, f))
	w.ok(err)
	n, err := io.Copy(io.Discard, z)
	w.ok(err)
	w.Logf("snapshot of %d bytes", n)
}

// golden makes a release of the snapshot, as an operator would; the machine
// has no ssh, so that what it sent stands for the connection.
func (w *world) golden() {
	w.Helper()
	ssh := fmt.Sprintf("#!/bin/sh\necho '{\"device_type\": \"vm\"}'\nexec cat %s\n", w.desk.path("snapshot.gz"))
	w.ok(os.Mkdir(w.desk.path("bin"), 0o755))
	w.ok(os.WriteFile(w.desk.path("bin/ssh"), []byte(ssh), 0o755))
	w.desk.env = append(w.desk.env, "PATH="+w.desk.path("bin")+":"+os.Getenv("PATH"))
	w.moult("artifact", "write", "rootfs-image", "-f", "ssh://root@machine", "-n", "golden", "-k", w.desk.path("release.key"), "-o", w.desk.path("golden.mender"))
	w.ok(w.desk.upload("golden"))
}

// another is a second machine, from the same factory.
func (w *world) another() {
	w.Helper()
	w.plug.close()
	w.ok(os.RemoveAll(w.desk.path("factory")))
	w.ok(os.Remove(w.desk.path("disk")))
	var err error
	w.disk, err = w.desk.factory(release{name: "v1"})
	w.ok(err)
	w.plug, err = newPlug(w.disk, w.desk.path("socket2"))
	w.ok(err)
	w.Cleanup(w.plug.close)
	w.con.skip()
	w.desk.machine++
	w.m, err = w.desk.power(w.desk.path("socket2"), w.con)
	w.ok(err)
}

// between returns what the console said between two texts, each time.
func (w *world) between(begin, end string) (all []string) {
	for _, text := range strings.Split(w.con.all(), begin)[1:] {
		found, _, _ := strings.Cut(text, end)
		all = append(all, found)
	}
	return all
}
