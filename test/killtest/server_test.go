package killtest

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/server/servertest"
)

// A server is a process of moult on one data directory and one port.
type server struct {
	*client.Client
	dir, address string
	process      *exec.Cmd
}

// start runs a server for the first time and reads its first token.
func start(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: t.TempDir(), address: l.Addr().String()}
	s.Client = &client.Client{Server: "http://" + s.address}
	l.Close()
	s.Token = s.run(t)
	t.Cleanup(func() { s.process.Process.Kill(); s.process.Wait() })
	return s
}

// run starts the process, waits until it is ready, and returns the token that
// a first start prints.
func (s *server) run(t *testing.T) (token string) {
	t.Helper()
	s.process = exec.Command(os.Args[0], "server", "--data", s.dir, "--listen", s.address, "--log-level", "error")
	s.process.Env = append(os.Environ(), asServer+"=1")
	s.process.Stderr = os.Stderr
	said, err := s.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() && s.Token == "" {
		if text, ok := strings.CutPrefix(lines.Text(), "operator token (shown once): "); ok {
			token = text
			break
		}
	}
	s.ready(t)
	return token
}

func (s *server) ready(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		resp, err := http.Get(s.Server + "/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatal("server is not ready")
}

// kill ends the process without a word to it.
func (s *server) kill(t *testing.T) {
	t.Helper()
	if err := s.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.process.Wait() // killed: the error says so
}

// deploy uploads the n-th release and sends it to all devices. The server is
// not killed meanwhile.
func (s *server) deploy(t *testing.T, n int) client.Deployment {
	t.Helper()
	file := servertest.Artifact(t, release(n), "rpi", bytes.Repeat([]byte(release(n)), 1000))
	if _, err := s.UploadArtifact(t.Context(), bytes.NewReader(file), client.UploadArtifactParams{}); err != nil {
		t.Fatal(err)
	}
	d, err := s.CreateDeployment(t.Context(), client.NewDeployment{Release: release(n), Target: client.Target{All: true}}, client.CreateDeploymentParams{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
