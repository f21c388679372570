package script_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/boottest"
	"github.com/moult-ota/moult/internal/boot/script"
	"github.com/moult-ota/moult/internal/boot/variables"
)

var (
	seed = flag.Uint64("seed", 1, "first seed of the power-cut suite")
	cuts = flag.Int("cuts", 40, "power cuts to make; each starts the script several times")
)

const room = 1024 // for each of the script's files

// onDisk runs the example with its two files on a simulated disk: they are
// real while it runs, and what it changed is then written to the disk.
type onDisk struct {
	disk   *boottest.Disk
	folder string
	script.Store
}

func (d onDisk) path(n int) string { return filepath.Join(d.folder, "env."+strconv.Itoa(n)) }

func (d onDisk) Read() (variables.Set, error) {
	if err := d.take(); err != nil {
		return nil, err
	}
	return d.Store.Read()
}

func (d onDisk) Write(s variables.Set) error {
	if err := d.take(); err != nil {
		return err
	}
	if err := d.Store.Write(s); err != nil {
		return err
	}
	for n := range 2 {
		if err := d.give(n); err != nil {
			return err
		}
	}
	return nil
}

// take makes the files what the disk holds.
func (d onDisk) take() error {
	for n := range 2 {
		p := make([]byte, room)
		if _, err := d.disk.ReadAt(p, int64(n*room)); err != nil {
			return err
		}
		if err := os.WriteFile(d.path(n), bytes.TrimRight(p, "\x00"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// give writes file n to the disk when it changed.
func (d onDisk) give(n int) error {
	text, err := os.ReadFile(d.path(n))
	if err != nil {
		return err
	}
	now, old := make([]byte, room), make([]byte, room)
	copy(now, text)
	if _, err := d.disk.ReadAt(old, int64(n*room)); err != nil || bytes.Equal(now, old) {
		return err
	}
	if _, err := d.disk.WriteAt(now, int64(n*room)); err != nil {
		return err
	}
	return d.disk.Sync()
}

// TestPowerCuts fails when a cut can leave a device with the example that does
// not start, or that changes its mind.
func TestPowerCuts(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("MOULT_BOOT_FOLDER", folder)
	boottest.Run(t, boottest.Subject{
		Name:  "a shell script with two files",
		Blank: boottest.NewDisk(2 * room),
		Open: func(s boottest.Storage) (boot.Env, error) {
			store := onDisk{s.(*boottest.Disk), folder, script.Store{Program: "../../../contrib/script/two-files.sh"}}
			return variables.Open(store, variables.Parts{"2", "3"})
		},
	}, boottest.Options{Seed: *seed, Cuts: *cuts, Every: 60, Most: 1})
}
