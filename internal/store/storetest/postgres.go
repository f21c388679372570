package storetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// startAtMost bounds how long PostgreSQL may take to start.
const startAtMost = 60 * time.Second

// A Server is a PostgreSQL server that lives as long as a test.
type Server struct {
	dir  string
	cred *syscall.Credential // nil for our own
	logs bytes.Buffer
}

// StartPostgres starts Debian's PostgreSQL in a folder of its own, listening
// on a socket there. The test fails if it is not installed.
func StartPostgres(t testing.TB) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg") // short, as a socket's path is limited to 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{dir: dir}
	if os.Getuid() == 0 { // which PostgreSQL refuses
		s.cred = nobody(t)
		if err := os.Chown(dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	s.run(t, "initdb", "-D", s.data(), "-A", "trust", "-U", "moult", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	s.start(t)
	return s
}

// DSN returns the address of a new, empty database.
func (s *Server) DSN(t testing.TB) string {
	t.Helper()
	name := "t" + strconv.FormatInt(time.Now().UnixNano(), 36)
	s.run(t, "createdb", "-h", s.dir, "-U", "moult", name)
	return fmt.Sprintf("host=%s user=moult dbname=%s sslmode=disable", s.dir, name)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func nobody(t testing.TB) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, errU := strconv.ParseUint(u.Uid, 10, 32)
	gid, errG := strconv.ParseUint(u.Gid, 10, 32)
	if errU != nil || errG != nil {
		t.Fatalf("user nobody has ids %q and %q", u.Uid, u.Gid)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// program finds one of PostgreSQL's programs, of the newest version installed.
func program(t testing.TB, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		t.Fatalf("%s is not installed: apt-get install postgresql", name)
	}
	return slices.MaxFunc(found, func(a, b string) int { return len(a) - len(b) })
}

func (s *Server) command(t testing.TB, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(program(t, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	return cmd
}

func (s *Server) run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := s.command(t, name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func (s *Server) start(t testing.TB) {
	t.Helper()
	cmd := s.command(t, "postgres", "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "shared_buffers=32MB", "-c", "max_connections=50")
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT // and its children with it
	cmd.Stdout, cmd.Stderr = &s.logs, &s.logs
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the signal comes when the thread that started it ends
		started <- cmd.Start()
		cmd.Wait()
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGINT) // "fast": it ends the sessions
		<-ended
	})
	s.await(t)
}

func (s *Server) await(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(startAtMost); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if s.command(t, "pg_isready", "-q", "-h", s.dir, "-U", "moult").Run() == nil {
			return
		}
	}
	t.Fatalf("PostgreSQL did not start within %v:\n%s", startAtMost, s.logs.String())
}
