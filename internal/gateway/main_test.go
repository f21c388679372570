package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/agent"
)

// call runs a command with the site's configuration.
func (s *site) call(args ...string) (code int, stdout, stderr string) {
	s.Helper()
	s.config()
	var out, errs bytes.Buffer
	code = Main(append([]string{args[0], "--config", filepath.Join(s.dir, "gateway.json")}, args[1:]...), &out, &errs)
	return code, out.String(), errs.String()
}

// TestBadConfig: each mistake is found before anything runs, and named.
func TestBadConfig(t *testing.T) {
	child := func(text string) string {
		return `{"id":"g1","children":[{"id":"a","device_type":"b","driver":"exec","program":"/bin/true"` + text + `}]}`
	}
	for _, tt := range []struct{ name, text, want string }{
		{"unknown setting", `{"id":"g1","colour":"red"}`, "colour: no such setting"},
		{"unknown setting of a child", child(`,"colour":"red"`), "child 1: colour: no such setting"},
		{"dashes", `{"id":"g1","state-dir":"x"}`, "state-dir: no such setting"},
		{"no JSON", `id: g1`, "invalid character"},
		{"no id", `{}`, "set id"},
		{"an id that is a path", `{"id":"../x"}`, "id"},
		{"a child's id that is a path", child(`,"id":"../../etc"`), "id: want"},
		{"no device type", child(`,"device_type":""`), "device_type"},
		{"unknown driver", child(`,"driver":"can"`), "driver \"can\": want one of"},
		{"no program", child(`,"program":""`), "set program"},
		{"USB address", child(`,"driver":"dfu","address":"k64f"`), "want vendor:product@port"},
		{"a DFU device that cannot be restarted", child(`,"driver":"dfu","address":"2fe3:0100@1-1"`), "set reset_command"},
		{"how it restarts", child(`,"driver":"dfu","address":"2fe3:0100@1-1","reset_by":"magic"`), "want port, or detach"},
		{"flash address", child(`,"driver":"dfu","address":"2fe3:0100@1-1","reset_by":"port","flash_address":"x"`), "flash_address"},
		{"class id", child(`,"class_id":"12"`), "want a UUID"},
		{"number", child(`,"room":"much"`), "room"},
		{"an object", child(`,"room":{}`), "want a text"},
		{"two of one id", `{"id":"g1","children":[{"id":"a","device_type":"b","driver":"exec","program":"x","address":"1"},{"id":"a","device_type":"b","driver":"exec","program":"x","address":"2"}]}`, "two children with id"},
		{"two at one address", `{"id":"g1","children":[{"id":"a","device_type":"b","driver":"exec","program":"x","address":"1"},{"id":"b","device_type":"b","driver":"exec","program":"x","address":"1"}]}`, "same address"},
		{"half a certificate", `{"id":"g1","listen_key":"x"}`, "come together"},
		{"a LAN without a server", `{"id":"g1","listen":":0"}`, "set servers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gateway.json")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			code := Main([]string{"check", "--config", path}, &out, &errs)
			if code == exitOK || !strings.Contains(errs.String(), tt.want) {
				t.Errorf("check = %d, %s; want an error with %q", code, errs.String(), tt.want)
			}
		})
	}
}

// TestCheck: what is named in the configuration is there.
func TestCheck(t *testing.T) {
	s := newSite(t)
	s.board("c1", map[string]any{})
	if code, out, errs := s.call("check"); code != exitOK || !strings.Contains(out, "1 children") {
		t.Errorf("check = %d, %s%s", code, out, errs)
	}
	s.board("c2", map[string]any{"self_test": "/no/such/program"})
	if code, _, errs := s.call("check"); code != exitError || !strings.Contains(errs, "child c2: /no/such/program") {
		t.Errorf("check = %d, %s", code, errs)
	}
	s.file["children"].([]any)[1].(map[string]any)["image_keys"] = []string{"/no/such/key"}
	if code, _, errs := s.call("check"); code != exitError || !strings.Contains(errs, "read image key") {
		t.Errorf("check = %d, %s", code, errs)
	}
}

// TestConfigPrintsItself: what is printed is read again as the same.
func TestConfigPrintsItself(t *testing.T) {
	s := newSite(t)
	s.board("c1", map[string]any{"refuse_older": true, "room": 4096})
	code, first, errs := s.call("config")
	if code != exitOK {
		t.Fatal(errs)
	}
	path := filepath.Join(s.dir, "printed.json")
	s.put(path, []byte(first))
	c, err := ReadConfig(path, true, []string{"MOULT_GATEWAY_POLL=1h", "PATH=/bin"})
	if err != nil {
		t.Fatal(err)
	}
	if again := strings.Replace(string(c.JSON()), `"1h0m0s"`, `"200ms"`, 1); again != first {
		t.Errorf("printed\n%s\nread again it is\n%s", first, again)
	}
	if _, err := ReadConfig(path, true, []string{"MOULT_GATEWAY_COLOUR=red"}); err == nil {
		t.Error("an unknown variable is no error")
	}
	if _, err := ReadConfig(path+"x", true, nil); err == nil {
		t.Error("a file that was asked for and is missing is no error")
	}
}

// TestShow: children with their state, before and after they were updated.
func TestShow(t *testing.T) {
	s := newSite(t)
	s.board("c1", map[string]any{})
	s.put(filepath.Join(s.board("c2", map[string]any{}), "off"), nil)
	code, out, errs := s.call("show")
	if code != exitOK || !strings.Contains(out, "runs      1.0.0") || !strings.Contains(out, "no board on the bus") {
		t.Errorf("show = %d, %s%s", code, out, errs)
	}
	artifact := filepath.Join(s.dir, "fw.mender")
	s.put(artifact, pack(s.signer, "fw-2", "board", next))
	for _, step := range [][]string{{"install", "c1", artifact}, {"rollback", "c1"}, {"install", "c1", artifact}, {"commit", "c1"}} {
		if code, out, errs := s.call(step...); code != exitOK {
			t.Fatalf("%v = %d, %s%s", step, code, out, errs)
		}
	}
	code, out, errs = s.call("show", "--json")
	var all struct{ Children []picture }
	if err := json.Unmarshal([]byte(out), &all); code != exitOK || err != nil || len(all.Children) != 2 {
		t.Fatalf("show = %d, %v, %s%s", code, err, out, errs)
	}
	pic := all.Children[0]
	if pic.State != "running" || pic.Running.Version != "2.0.0" || !pic.Running.Confirmed || pic.Other.Version != "1.0.0" || pic.Provides["artifact_name"] != "fw-2" {
		t.Errorf("show = %+v", pic)
	}
	if all.Children[1].State != "away" {
		t.Errorf("the one without power is %q", all.Children[1].State)
	}
	s.wantCode(exitNothing, "commit", "c1")
	s.wantCode(exitUsage, "commit", "c9")
	s.wantCode(exitUsage, "commit")
	s.wantCode(exitUsage, "dance")
	wrong := filepath.Join(s.dir, "wrong.mender")
	s.put(wrong, pack(s.signer, "fw-3", "toaster", next))
	s.wantCode(exitRefused, "install", "c1", wrong)
}

func (s *site) wantCode(want int, args ...string) {
	s.Helper()
	if code, out, errs := s.call(args...); code != want {
		s.Errorf("%v = %d, want %d: %s%s", args, code, want, out, errs)
	}
}

// TestFind looks at a machine as sysfs has it.
func TestFind(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"sys/bus/usb/devices/1-1.2/idVendor":               "2fe3\n",
		"sys/bus/usb/devices/1-1.2/idProduct":              "0100\n",
		"sys/bus/usb/devices/1-1.2/manufacturer":           "ZEPHYR\n",
		"sys/bus/usb/devices/1-1.2/product":                "DFU sample\n",
		"sys/bus/usb/devices/1-1.2:1.0/bInterfaceClass":    "fe\n",
		"sys/bus/usb/devices/1-1.2:1.0/bInterfaceSubClass": "01\n",
		"sys/bus/usb/devices/1-1.2:1.0/bInterfaceProtocol": "01\n",
		"sys/bus/usb/devices/2-1/idVendor":                 "1d6b\n",
		"sys/bus/usb/devices/2-1:1.0/bInterfaceClass":      "08\n",
		"sys/bus/usb/devices/2-1:1.0/bInterfaceSubClass":   "06\n",
		"dev/ttyACM0":                                   "",
		"sys/class/tty/ttyACM0/device/x":                "",
		"sys/class/tty/ttyAMA1/device/x":                "",
		"sys/bus/drivers/pl011/x":                       "",
		"sys/bus/usb/devices/1-1.2:1.1/bInterfaceClass": "0a\n",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "dev/serial/by-id"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		"dev/serial/by-id/usb-ZEPHYR_CDC_ACM-if00": filepath.Join(root, "dev/ttyACM0"),
		"sys/class/tty/ttyAMA1/device/driver":      filepath.Join(root, "sys/bus/drivers/pl011"),
		"sys/class/tty/ttyACM0/device/driver":      filepath.Join(root, "sys/bus/drivers/pl011"),
	} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	p := &program{stdout: &out, stderr: &errs, root: root}
	if err := p.find(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"dfu", "2fe3:0100@1-1.2", "ZEPHYR DFU sample (application)"},
		{"smp-serial", "/dev/serial/by-id/usb-ZEPHYR_CDC_ACM-if00", "serial port ttyACM0"},
		{"smp-serial", "/dev/ttyAMA1", "serial port of pl011"},
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("find:\n%s", out.String())
	}
	for n, words := range want {
		for _, word := range words {
			if !strings.Contains(lines[n], word) {
				t.Errorf("find: line %q, want %q in it", lines[n], word)
			}
		}
	}
}

// TestInstallURL: by hand also from the web, past the server.
func TestInstallURL(t *testing.T) {
	s := newSite(t)
	s.board("c1", map[string]any{})
	text := pack(s.signer, "fw-2", "board", next)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(text) }))
	defer web.Close()
	s.wantCode(exitOK, "install", "c1", web.URL+"/fw.mender")
	s.wantCode(exitOK, "commit", "c1")
	if _, out, _ := s.call("show"); !strings.Contains(out, "runs      2.0.0") {
		t.Errorf("show: %s", out)
	}
}

// TestLeave: what is asked to leave ends, also while a child is not there.
func TestLeave(t *testing.T) {
	s := newSite(t)
	s.board("c1", map[string]any{})
	s.put(filepath.Join(s.board("c2", map[string]any{}), "off"), nil)
	g, err := New(s.config(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- g.Run(t.Context()) }()
	s.device("c1")
	g.Poll()
	g.Leave()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run = %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not leave")
	}
}

// TestOneGateway: two at work on one folder would be two masters of one child.
func TestOneGateway(t *testing.T) {
	s := newSite(t)
	s.board("c1", map[string]any{})
	s.run()
	s.device("c1")
	g, err := New(s.config(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(t.Context()); !errors.Is(err, agent.ErrBusy) {
		t.Errorf("a second Run = %v, want %v", err, agent.ErrBusy)
	}
}
