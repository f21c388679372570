package control_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/store/sqlite"
)

const crashDir = "MOULT_TEST_CRASH_DIR"

// TestMain runs the fleet of TestKilledServerLosesNothing when asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		acknowledge(dir)
		return
	}
	os.Exit(m.Run())
}

// acknowledge reports progress of many devices at once until it is killed,
// and prints what was acknowledged.
func acknowledge(dir string) {
	t := &testing.T{}
	db, err := sqlite.Open(ctx, filepath.Join(dir, "moult.db"))
	if err != nil {
		fmt.Println("error", err)
		return
	}
	f := fixtureWith(t, db, filepath.Join(dir, "blobs"))
	f.upload(spec("r2", "x"))
	var ids []device.ID
	for range 40 {
		ids = append(ids, f.accepted(rnd(), "x", "r1"))
	}
	d := f.deploy("r2", all, 0)
	fmt.Println("deployment", d)
	for _, id := range ids {
		go func() {
			f.told(id, report("x", "r1"))
			for _, s := range []deployment.State{deployment.Downloading, deployment.Installing, deployment.Rebooting, deployment.Trying, deployment.Done} {
				f.report(id, d, s)
				fmt.Println("acked", id, s)
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}
	time.Sleep(time.Minute) // it is killed before
}

func TestKilledServerLosesNothing(t *testing.T) {
	for round, lines := range []int{1, 30, 95} {
		dir := t.TempDir()
		d, acked := killedAfter(t, dir, lines)
		db, err := sqlite.Open(ctx, filepath.Join(dir, "moult.db"))
		if err != nil {
			t.Fatal(err)
		}
		f := fixtureWith(t, db, filepath.Join(dir, "blobs"))
		l, err := f.Assignments(ctx, d, control.AssignmentQuery{Page: control.Page{Limit: 500}})
		f.must(err)
		rank := map[deployment.State]int{}
		for i, s := range deployment.States {
			rank[s] = i
		}
		for _, a := range l.Items {
			if want, ok := acked[a.Device]; ok && rank[a.State] < rank[want] {
				t.Errorf("round %d: device %s is %s, but %s was acknowledged", round, a.Device, a.State, want)
			}
		}
		if len(acked) == 0 {
			t.Errorf("round %d: nothing was acknowledged before the kill", round)
		}
		db.Close()
	}
}

// killedAfter starts a server, kills it after so many acknowledgements, and
// returns the last one of each device.
func killedAfter(t *testing.T, dir string, lines int) (d deployment.ID, acked map[device.ID]deployment.State) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked = map[device.ID]deployment.State{}
	for in := bufio.NewScanner(out); in.Scan(); {
		words := strings.Fields(in.Text())
		switch {
		case words[0] == "deployment":
			d = deployment.ID(words[1])
		case words[0] == "acked" && len(words) == 3:
			acked[device.ID(words[1])] = deployment.State(words[2])
			if lines--; lines == 0 {
				cmd.Process.Kill()
			}
		default:
			t.Errorf("the server says %q", in.Text())
		}
	}
	cmd.Wait() // killed
	return d, acked
}
