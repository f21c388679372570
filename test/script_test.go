// Package test holds the stories of the command line: each file in
// testdata/script is one, told with the real program and the real server.
package test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moult-ota/moult/internal/cli"
	"github.com/moult-ota/moult/internal/cli/artifactcmd"
	"github.com/moult-ota/moult/internal/cli/mcubootcmd"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/menderdevice"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"moult": func() {
			os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, artifactcmd.Command(), artifactcmd.KeyCommand(), mcubootcmd.Command()))
		},
	})
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_CONFIG_HOME", e.WorkDir+"/config")
			e.Values[worldKey{}] = &world{devices: map[string]*menderdevice.Device{}}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code, "serve": serve, "stop": stop, "device": deviceDoes, "keep": keep,
		},
	})
}

// A world is what a story's own verbs share.
type world struct {
	server  *exec.Cmd
	ended   chan error
	url     string
	devices map[string]*menderdevice.Device
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// code N CMD…: runs a command that must end with exactly that exit code.
func code(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s ended with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// keep NAME: the last output becomes the variable NAME.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// address is where the server listens: the second start where the first did.
func (w *world) address() string {
	if _, host, ok := strings.Cut(w.url, "://"); ok {
		return host
	}
	return "127.0.0.1:0"
}

// serve ARGS…: starts a server in $WORK/data and sets SERVER, and at a first
// start TOKEN and SETUP.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	for i, a := range args {
		if strings.HasSuffix(a, ".pem") {
			args[i] = ts.MkAbs(a)
		}
	}
	args = append([]string{"server", "--data", ts.MkAbs("data"), "--listen", w.address(), "--log-level", "warn"}, args...)
	path, err := exec.LookPath("moult")
	ts.Check(err)
	_, err = os.Stat(ts.MkAbs("data/moult.db"))
	first := err != nil
	w.server = exec.Command(path, args...)
	w.server.Env = []string{"HOME=" + ts.MkAbs("."), "PATH=" + os.Getenv("PATH")}
	said, err := w.server.StdoutPipe()
	ts.Check(err)
	w.server.Stderr = os.Stderr
	ts.Check(w.server.Start())
	w.ended = make(chan error, 1)
	ts.Defer(func() { w.server.Process.Kill() })
	lines := bufio.NewScanner(said)
	w.url = next(ts, lines, "moult server")
	ts.Setenv("SERVER", w.url)
	if first {
		ts.Setenv("TOKEN", next(ts, lines, "operator token"))
		ts.Setenv("SETUP", next(ts, lines, "or open"))
	}
	go func() {
		for lines.Scan() {
		}
		w.ended <- w.server.Wait()
	}()
}

func next(ts *testscript.TestScript, lines *bufio.Scanner, begin string) string {
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), begin) {
			return lines.Text()[strings.LastIndex(lines.Text(), " ")+1:]
		}
	}
	ts.Fatalf("server did not print %q", begin)
	return ""
}

// stop: ends the server, which must end well.
func stop(ts *testscript.TestScript, _ bool, _ []string) {
	w := worldOf(ts)
	ts.Check(w.server.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-w.ended:
		ts.Check(err)
	case <-time.After(10 * time.Second):
		ts.Fatalf("server did not stop")
	}
}

// device NAME join | idle | update STATE…: one virtual device of type rpi. It sleeps
// nothing and checks nothing; it only reports.
func deviceDoes(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	name, verb := args[0], args[1]
	d := w.devices[name]
	if d == nil {
		_, key, err := ed25519.GenerateKey(nil)
		ts.Check(err)
		d = &menderdevice.Device{Client: http.DefaultClient, Identity: device.Identity(fmt.Sprintf(`{"mac":%q}`, name)), Key: key}
		w.devices[name] = d
	}
	d.Base = w.url
	var err error
	switch verb {
	case "join":
		err = d.Enroll(ctx)
	case "idle":
		err = idle(ctx, d)
	case "update":
		err = update(ctx, d, args[2:])
	default:
		ts.Fatalf("device: unknown verb %s", verb)
	}
	if (err != nil) != neg {
		ts.Fatalf("device %s: %v", strings.Join(args, " "), err)
	}
}

// idle checks in, which also says which type the device has.
func idle(ctx context.Context, d *menderdevice.Device) error {
	o, err := d.CheckIn(ctx, fleet.Report{Type: "rpi", Provides: map[string]string{"artifact_name": "r0"}})
	if err == nil && o.Deployment != "" {
		err = errors.New("something was offered")
	}
	return err
}

func update(ctx context.Context, d *menderdevice.Device, states []string) error {
	o, err := d.CheckIn(ctx, fleet.Report{Type: "rpi", Provides: map[string]string{"artifact_name": "r0"}})
	if err != nil || o.Deployment == "" {
		return errors.Join(err, errNothing(o.Deployment == ""))
	}
	for _, s := range states {
		if s == "log" {
			err = d.Log(ctx, o.Deployment, "the disk is broken")
		} else {
			err = d.Progress(ctx, fleet.Progress{Deployment: o.Deployment, State: deployment.State(s)})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func errNothing(is bool) error {
	if is {
		return errors.New("nothing was offered")
	}
	return nil
}
