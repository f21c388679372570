package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A desk is where releases come from: a real server, and the command line.
type desk struct {
	board  board
	parts  parts
	dir    string
	moult  string
	server *exec.Cmd
	url    string // as this machine reaches it
	token  string // of an operator
	env    []string

	machine int // of several, which is on; from 0
}

// open starts a server with its data below dir, and makes a key to sign with.
func (p parts) open(b board, dir string) (*desk, error) {
	path, err := filepath.Abs(p.bin + "/moult")
	if err != nil {
		return nil, err
	}
	d := &desk{board: b, parts: p, dir: dir, moult: path}
	d.server = exec.Command(path, "server", "--data", dir+"/server", "--listen", "127.0.0.1:0", "--log-level", "warn")
	said, err := d.server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.server.Stderr = os.Stderr
	if err := d.server.Start(); err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	lines := bufio.NewScanner(said)
	d.url = after(lines, "moult server")
	d.token = after(lines, "operator token")
	go func() { _, _ = io.Copy(io.Discard, said) }()
	d.env = append(os.Environ(), "MOULT_SERVER="+d.url, "MOULT_TOKEN="+d.token, "XDG_CONFIG_HOME="+dir)
	if _, err := d.run("key", "generate", "--private", d.path("release.key"), "--public", d.path("release.pub")); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// after returns the last word of the next line that begins so.
func after(lines *bufio.Scanner, begin string) string {
	for lines.Scan() {
		if text := lines.Text(); strings.HasPrefix(text, begin) {
			return text[strings.LastIndex(text, " ")+1:]
		}
	}
	return ""
}

func (d *desk) close() {
	_ = d.server.Process.Kill()
	_ = d.server.Wait()
}

// seen is the server's address as machines see it.
func (d *desk) seen() string { return strings.Replace(d.url, "127.0.0.1", "10.0.2.2", 1) }

// run runs the command line, as an operator would.
func (d *desk) run(args ...string) (string, error) {
	c := exec.Command(d.moult, args...)
	c.Env = d.env
	out, err := c.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("moult %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// publish makes a release and uploads it.
func (d *desk) publish(r release) error {
	if err := d.pack(r); err != nil {
		return err
	}
	return d.upload(r.name)
}

func (d *desk) upload(name string) error {
	_, err := d.run("release", "upload", "-q", d.path(name+".mender"))
	return err
}

// pack makes the image of a release, and signs it.
func (d *desk) pack(r release) error {
	image, file := d.path(r.name+".ext4"), d.path(r.name+".mender")
	if err := d.image(r, image); err != nil {
		return err
	}
	_, err := d.run("artifact", "write", "rootfs-image", "-q", "-f", image, "-n", r.name, "-t", "vm", "-k", d.path("release.key"), "-o", file)
	return err
}

func (d *desk) path(name string) string { return filepath.Join(d.dir, name) }
