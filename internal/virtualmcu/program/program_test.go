package program_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/virtualmcu/program"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bench is a folder with keys and an image of version 1.0.0.
func bench(t *testing.T) (path func(string) string) {
	t.Helper()
	dir := t.TempDir()
	path = func(name string) string { return filepath.Join(dir, name) }
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))
	for name, der := range map[string]func() ([]byte, error){
		"key.pem":    func() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(private) },
		"public.pem": func() ([]byte, error) { return x509.MarshalPKIXPublicKey(private.Public()) },
	} {
		p, err := der()
		check(t, err)
		kind := map[string]string{"key.pem": "PRIVATE KEY", "public.pem": "PUBLIC KEY"}[name]
		check(t, os.WriteFile(path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: p}), 0o600))
	}
	var out, errs strings.Builder
	if code := program.Main(t.Context(), []string{"image", "--key", path("key.pem"), "--version", "1.0.0", "--out", path("v1.bin")}, &out, &errs); code != 0 {
		t.Fatalf("image: %d, %s", code, errs.String())
	}
	return path
}

// Echo of "hello" on a console, and in a datagram.
const (
	echoLine     = "\x06\x09ABMCAAAJAAAqAKFhZGVoZWxsb40o\n"
	echoDatagram = "\x02\x00\x00\x09\x00\x00\x2a\x00\xa1adehello"
)

func TestRun(t *testing.T) {
	path := bench(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	var errs strings.Builder
	code := make(chan int)
	go func() {
		code <- program.Main(ctx, []string{
			"--key", path("public.pem"), "--image", path("v1.bin"), "--flash", path("flash.bin"),
			"--udp", "127.0.0.1:0", "--serial-link", path("tty"), "--fast",
		}, w, &errs)
	}()
	said := bufio.NewScanner(r)
	var udp string
	for said.Scan() && said.Text() != "1.0.0 runs" {
		if rest, ok := strings.CutPrefix(said.Text(), "udp "); ok {
			udp = rest
		}
	}
	conn, err := net.Dial("udp", udp)
	check(t, err)
	_, err = conn.Write([]byte(echoDatagram))
	check(t, err)
	check(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	p := make([]byte, 100)
	n, err := conn.Read(p)
	check(t, err)
	if !strings.Contains(string(p[:n]), "arehello") {
		t.Errorf("answer %q", p[:n])
	}
	port, err := os.OpenFile(path("tty"), os.O_RDWR, 0)
	check(t, err)
	_, err = port.WriteString(echoLine)
	check(t, err)
	lines := bufio.NewReader(port)
	for line := ""; !strings.HasPrefix(line, "\x06\x09"); {
		line, err = lines.ReadString('\n')
		check(t, err)
	}
	check(t, syscall.Kill(os.Getpid(), syscall.SIGHUP)) // the reset button
	if !said.Scan() || said.Text() != "1.0.0 runs" {
		t.Errorf("after SIGHUP it says %q", said.Text())
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	cancel()
	if c := <-code; c != 0 {
		t.Errorf("exit code %d: %s", c, errs.String())
	}
	if _, err := os.Lstat(path("tty")); err == nil {
		t.Error("the link is still there")
	}
}

func TestMessages(t *testing.T) {
	path := bench(t)
	key, door := []string{"--key", path("public.pem")}, []string{"--udp", "127.0.0.1:0"}
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"nothing":              {nil, 64, "Doors: --serial"},
		"help":                 {[]string{"--help"}, 64, "-serial-link"},
		"no such option":       {[]string{"--bus"}, 64, "not defined: -bus"},
		"half a class":         {append(key, "--class-id", "00ff"), 64, "32 hexadecimal digits"},
		"a stray word":         {append(key, "run"), 64, `"run" is no option`},
		"no key":               {door, 1, "--key"},
		"no image":             {append(key, door...), 1, "--image"},
		"no door":              {append(key, "--image", path("v1.bin")), 1, "name a door"},
		"no such key":          {[]string{"--key", path("absent")}, 1, "absent"},
		"not a key":            {[]string{"--key", path("v1.bin")}, 1, "no PEM"},
		"not an image":         {append(door, "--key", path("public.pem"), "--image", path("key.pem")), 1, "not an MCUboot image"},
		"not a flash":          {append(door, "--key", path("public.pem"), "--flash", path("v1.bin")), 1, "is not a flash"},
		"no such address":      {append(key, "--image", path("v1.bin"), "--udp", "nowhere:x"), 1, "listen udp"},
		"image without a key":  {[]string{"image", "--version", "1"}, 1, "--key, --version and --out"},
		"image by a public":    {[]string{"image", "--key", path("public.pem"), "--version", "1", "--out", path("x")}, 1, "private key"},
		"image, odd version":   {[]string{"image", "--key", path("key.pem"), "--version", "one", "--out", path("x")}, 1, "one"},
		"image, odd confirmer": {[]string{"image", "--key", path("key.pem"), "--version", "1", "--out", path("x"), "--confirm", "maybe"}, 1, "host, self or never"},
		"image, help":          {[]string{"image", "-h"}, 64, "-crash"},
	} {
		var out, errs strings.Builder
		code := program.Main(t.Context(), tt.args, &out, &errs)
		if code != tt.code || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%s: Main(%q) = %d, says %q; want %d and %q", name, tt.args, code, errs.String(), tt.code, tt.want)
		}
	}
}
