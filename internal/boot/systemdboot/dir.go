package systemdboot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/slot"
)

// Limits of what is read.
const (
	maxFile  = 64 << 10 // bytes of a file
	maxNames = 4096     // in a folder
)

// Folders are where the ESP or XBOOTLDR is mounted, in bootctl's order.
var Folders = []string{"/efi", "/boot", "/boot/efi"}

// ErrDefault means that systemd-boot would start entries that are not ours.
var ErrDefault = errors.New("loader.conf does not say: default " + prefix + "*")

// Find returns the first of Folders that has the templates.
func Find() (string, error) {
	for _, dir := range Folders {
		if _, err := os.Stat(filepath.Join(dir, templates[0])); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("find %s: in none of %q; set boot_env to where the ESP or XBOOTLDR is mounted", templates[0], Folders)
}

// Open returns the Env on the ESP or XBOOTLDR that is mounted at dir, see New.
// It refuses an ESP whose loader.conf has another default. On XBOOTLDR there
// is no loader.conf to look at.
func Open(dir string, running slot.Slot) (*Env, error) {
	text, err := atomicfile.Read(filepath.Join(dir, "loader/loader.conf"), maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("open boot entries: %w", err)
	case defaultOf(string(text)) != prefix+"*":
		return nil, fmt.Errorf("open boot entries in %s: %w", dir, ErrDefault)
	}
	if err := os.MkdirAll(filepath.Join(dir, entries), 0o755); err != nil {
		return nil, fmt.Errorf("open boot entries: %w", err)
	}
	return New(onDisk(dir), running), nil
}

// defaultOf is the last default of a loader.conf.
func defaultOf(text string) (pattern string) {
	for _, line := range strings.Split(text, "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "default" {
			pattern = strings.Trim(f[1], `"`)
		}
	}
	return pattern
}

// onDisk is a mounted file system as a Folder.
type onDisk string

func (d onDisk) at(name string) string { return filepath.Join(string(d), name) }

func (d onDisk) List(dir string) ([]string, error) {
	f, err := os.Open(d.at(dir))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxNames)
	if errors.Is(err, io.EOF) { // there is none
		err = nil
	}
	if err == nil && len(names) == maxNames {
		err = fmt.Errorf("list %s: more than %d names", f.Name(), maxNames-1)
	}
	return names, err
}

func (d onDisk) Read(name string) ([]byte, error) { return atomicfile.Read(d.at(name), maxFile) }

func (d onDisk) Write(name string, p []byte) error {
	f, err := os.OpenFile(d.at(name), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(p, 0); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (d onDisk) Rename(from, to string) error { return os.Rename(d.at(from), d.at(to)) }
func (d onDisk) Remove(name string) error     { return os.Remove(d.at(name)) }

func (d onDisk) Sync(dir string) error {
	f, err := os.Open(d.at(dir))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
