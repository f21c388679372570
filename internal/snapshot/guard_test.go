package snapshot

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestMain lets this program be the guard of its own tests, and the one that
// is killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == GuardCommand {
		if err := Guard(os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == "freeze-and-wait" {
		if _, err := (Kernel{}).Freeze(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("frozen")
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

// mountExt4 mounts a new ext4. It needs root's rights and loop devices.
func mountExt4(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "a mount")
	if err := os.Mkdir(mount, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, "truncate", "-s", "32M", image)
	run(t, "mke2fs", "-q", "-t", "ext4", image)
	run(t, "mount", "-o", "loop", image, mount)
	t.Cleanup(func() { run(t, "umount", mount) })
	return mount
}

// TestKilledWhileFrozen: a process that is killed leaves nothing frozen.
func TestKilledWhileFrozen(t *testing.T) {
	mount := mountExt4(t)
	cmd := exec.Command("/proc/self/exe", "freeze-and-wait", mount)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("frozen"))); err != nil {
		t.Fatalf("not frozen: %v", err)
	}
	wrote := make(chan error, 1)
	go func() { wrote <- os.WriteFile(filepath.Join(mount, "file"), []byte("x"), 0o600) }()
	select {
	case err := <-wrote:
		t.Fatalf("wrote to a frozen file system: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	select {
	case err := <-wrote:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		run(t, "fsfreeze", "-u", mount)
		t.Error("still frozen 10 s after the process was killed")
	}
}

// TestCacheOfDevice: what was read of the device before is not what is copied.
func TestCacheOfDevice(t *testing.T) {
	mount := mountExt4(t)
	s, err := Find(mount)
	if err != nil {
		t.Fatal(err)
	}
	for _, fill := range []string{"1", "2"} {
		if err := os.WriteFile(filepath.Join(mount, "file"), bytes.Repeat([]byte(fill), 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := Stream(t.Context(), &got, s, Options{RequireFreeze: true}); err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(got.Bytes(), bytes.Repeat([]byte(fill), 4096)); n < 256 {
			t.Errorf("the image has %d of 256 blocks of %s", n, fill)
		}
		// Somebody looks at the device, and its cache keeps what is there.
		if _, err := os.ReadFile(s.Path); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(mount, "file")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGuardIsForNothingFrozen(t *testing.T) {
	mount := mountExt4(t)
	for name, in := range map[string]string{"all is well": ".", "it died before it froze": ""} {
		var out bytes.Buffer
		if err := Guard(mount, bytes.NewReader([]byte(in)), &out); err != nil || out.String() != "!" {
			t.Errorf("%s: Guard() = %v, said %q", name, err, &out)
		}
	}
}
