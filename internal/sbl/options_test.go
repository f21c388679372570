package sbl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/sbl/gpt"
)

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sbl.conf")
	text := "# a board\ndisk /dev/mmcblk0\n\nappend console=ttyS0 ro  panic=5\nwatchdog-time 20s\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o, _, err := load(path, true, []string{"--watchdog-time=30s"})
	if err != nil || o.Disk != "/dev/mmcblk0" || o.Append != "console=ttyS0 ro  panic=5" || o.Bite != 30*time.Second || o.FS != "ext4" {
		t.Errorf("load = %+v, %v", o, err)
	}
	if got, want := (board{disk: o.Disk}).path(gpt.Partition{Number: 2}), "/dev/mmcblk0p2"; got != want {
		t.Errorf("path = %s, want %s", got, want)
	}
	if got, want := (board{disk: "/dev/sda"}).path(gpt.Partition{Number: 2}), "/dev/sda2"; got != want {
		t.Errorf("path = %s, want %s", got, want)
	}
}

func TestLoadRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sbl.conf")
	for _, text := range []string{"slots 2", "wait long", "floor 3", "floor -1\nverify-keys x", "kernel", strings.Repeat("#", maxConfig+1)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if o, _, err := load(path, true, nil); err == nil {
			t.Errorf("load of %.20q = %+v, want an error", text, o)
		}
	}
	if _, _, err := load(path+"x", true, nil); err == nil {
		t.Error("load of no file = nil, want an error")
	}
}

func TestExpand(t *testing.T) {
	got := expand("http://10.0.2.2/{device_type}/{mac}.mender", "rig 4/b", "52:54:00:12:34:56")
	if want := "http://10.0.2.2/rig%204%2Fb/52:54:00:12:34:56.mender"; got != want {
		t.Errorf("expand = %s, want %s", got, want)
	}
}
