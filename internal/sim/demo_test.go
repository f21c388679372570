package sim

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/virtualmcu"
)

// tell plays chapters in a small, fast world, and returns what was printed.
func tell(t *testing.T, seed uint64, chapters []Chapter) (string, error) {
	t.Helper()
	old := story
	story = chapters
	defer func() { story = old }()
	var out bytes.Buffer
	err := Demo(context.Background(), Options{Devices: 6, Seed: seed, ImageSize: 256 << 10}, "", &out)
	return out.String(), err
}

func TestDemoEndsAsItShould(t *testing.T) {
	var all sync.WaitGroup
	for seed := range uint64(3) {
		all.Go(func() {
			var out bytes.Buffer
			if err := Demo(context.Background(), Options{Devices: 8, Seed: seed, ImageSize: 256 << 10}, "", &out); err != nil {
				t.Errorf("Demo(seed %d): %v\n%s", seed, err, out.String())
			}
			for _, road := range []string{byHTTP, byMQTT, byGateway, "mcu-2.0: 2 done", "mcu-3.0: 2 rolled-back"} {
				if !strings.Contains(out.String(), road) {
					t.Errorf("Demo(seed %d) says nothing of %s\n%s", seed, road, out.String())
				}
			}
		})
	}
	all.Wait()
}

// TestDemoNotices proves that the demo fails when a device ends elsewhere
// than its story says.
func TestDemoNotices(t *testing.T) {
	tests := []struct {
		name    string
		chapter Chapter
		want    string
	}{
		{
			"a crashing release believed good",
			Chapter{Image: Image{Version: "2.0", Crashes: true}, Security: 2, Expect: deployment.Done, Runs: "2.0"},
			"is rolled-back",
		}, {
			"a good release believed bad",
			Chapter{Image: Image{Version: "2.0"}, Security: 2, Expect: deployment.Refused, Runs: "1.5"},
			"is done",
		}, {
			"a release that fails its self-test, believed good",
			Chapter{Image: Image{Version: "2.0", Sick: true}, Security: 2, Expect: deployment.Done, Runs: "2.0"},
			"is rolled-back",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := tell(t, 1, []Chapter{tt.chapter})
			if !errors.Is(err, ErrStory) || !strings.Contains(out, tt.want) {
				t.Errorf("Demo = %v, want %v and %q in\n%s", err, ErrStory, tt.want, out)
			}
		})
	}
}

// TestDemoLooksAtTheBoards proves that a microcontroller's report alone does
// not convince it either.
func TestDemoLooksAtTheBoards(t *testing.T) {
	old := boardStory
	boardStory = []boardChapter{{"believed to crash", 2, virtualmcu.Habits{}, deployment.Done, 1}}
	defer func() { boardStory = old }()
	if out, err := tell(t, 1, nil); !errors.Is(err, ErrStory) {
		t.Errorf("Demo = %v, want %v\n%s", err, ErrStory, out)
	}
}

// TestDemoInspectsTheDisks proves that reports alone do not convince it.
func TestDemoInspectsTheDisks(t *testing.T) {
	chapter := Chapter{Image: Image{Version: "2.0"}, Security: 2, Expect: deployment.Done, Runs: "9.9"}
	if out, err := tell(t, 1, []Chapter{chapter}); !errors.Is(err, ErrStory) {
		t.Errorf("Demo = %v, want %v\n%s", err, ErrStory, out)
	}
}

func TestCutLosesOnlyWhatWasNotSynced(t *testing.T) {
	p := PowerOn(context.Background())
	rng := newRand(7)
	d, err := OpenDisk(p, rng, t.TempDir()+"/disk", 16*sector)
	if err != nil {
		t.Fatal(err)
	}
	defer d.detach()
	synced, lost := bytes.Repeat([]byte{1}, 8*sector), bytes.Repeat([]byte{2}, 8*sector)
	if _, err := d.WriteAt(synced, 0); err != nil {
		t.Fatal(err)
	}
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.WriteAt(lost, 8*sector); err != nil {
		t.Fatal(err)
	}
	p.CutAfter(1)
	if _, err := d.WriteAt(lost, 0); !errors.Is(err, ErrPower) {
		t.Errorf("WriteAt after the cut = %v, want %v", err, ErrPower)
	}
	got := make([]byte, 16*sector)
	if _, err := d.file.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[:8*sector], synced) {
		t.Error("synced bytes changed")
	}
	if bytes.Equal(got[8*sector:], lost) {
		t.Error("every unsynced byte survived: the cut does nothing")
	}
}

func TestScreenOnTerminal(t *testing.T) {
	var out bytes.Buffer
	s := NewScreen(&out, true, 140, 10, time.Now())
	rows := []Row{{Name: "dev-1", Slots: [2]string{"1.0", ""}, Running: 0, State: deployment.Downloading, Part: 0.5}}
	s.Draw(rows)
	if got, want := out.String(), "██████░░░░░░"; !strings.Contains(got, want) {
		t.Errorf("Draw = %q, want a bar %q", got, want)
	}
	s.Say(time.Now(), "hello")
	if got, want := out.String(), "\x1b[3A\x1b[J"; !strings.Contains(got, want) {
		t.Errorf("Say after Draw = %q, want the table erased by %q", got, want)
	}
}
