// Package module installs payloads through Mender's update modules, version 3:
// a program per payload type, called once for each step.
//
//	Write     Download, with the payload in FIFOs; what the program leaves
//	          unread is stored in files/
//	Activate  ArtifactInstall, NeedsArtifactReboot; ArtifactReboot and
//	          ArtifactVerifyReboot when the answer is Yes: for what is not this
//	          device. A module that needs this device booted says Automatic.
//	Verify    ArtifactVerifyReboot, after an Automatic boot
//	Confirm   ArtifactCommit
//	RollBack  ArtifactRollback when SupportsRollback says Yes; ArtifactFailure
//	Clean     Cleanup, and the tree is removed
//
// The tree of one update stays on the disk until Clean, so every step may run
// in another process than the one before.
package module

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/install"
)

// DefaultTime is what one call of a module may take.
const DefaultTime = 4 * time.Hour

// Options say which module to run, and where.
type Options struct {
	Folder     string // of modules, such as /usr/share/mender/modules/v3
	Work       string // where the tree of the update is
	Kind       string // payload type, which is the module's file name
	DeviceType string
	Provides   map[string]string           // what is installed now
	Time       time.Duration               // of one call; 0 means DefaultTime
	Log        func(level, message string) // hears what a module prints; nil means nobody
}

// An Installer runs one module.
type Installer struct {
	o       Options
	program string
	tree    string
}

var _ install.Installer = (*Installer)(nil)

// ErrNone means that there is no module for a payload type.
var ErrNone = errors.New("no update module")

// New returns the installer for a payload type.
func New(o Options) (*Installer, error) {
	if o.Kind == "" || strings.HasPrefix(o.Kind, ".") || strings.ContainsAny(o.Kind, "/\x00") {
		return nil, fmt.Errorf("%w for payload type %.64q", ErrNone, o.Kind)
	}
	program := filepath.Join(o.Folder, o.Kind)
	fi, err := os.Stat(program)
	if err != nil || !fi.Mode().IsRegular() || fi.Mode()&0o111 == 0 {
		return nil, fmt.Errorf("%w %s", ErrNone, program)
	}
	if o.Time == 0 {
		o.Time = DefaultTime
	}
	if o.Log == nil {
		o.Log = func(string, string) {}
	}
	work, err := filepath.Abs(o.Work)
	if err != nil {
		return nil, fmt.Errorf("find module tree: %w", err)
	}
	return &Installer{o: o, program: program, tree: filepath.Join(work, "payloads", "0000", "tree")}, nil
}

// Write makes a new tree and lets the module download.
func (i *Installer) Write(ctx context.Context, p install.Payload) (install.Written, error) {
	if err := i.plant(p.Header); err != nil {
		return install.Written{}, err
	}
	if err := i.download(ctx, p); err != nil {
		return install.Written{}, fmt.Errorf("module %s: %w", i.o.Kind, err)
	}
	return install.Written{Security: p.Security}, syncTree(i.tree)
}

// Activate installs, and asks whether that needs a boot.
func (i *Installer) Activate(ctx context.Context, _ install.Written) (bool, error) {
	if _, err := i.call(ctx, "ArtifactInstall"); err != nil {
		return false, err
	}
	answer, err := i.ask(ctx, "NeedsArtifactReboot", "No", "Yes", "Automatic")
	if err != nil {
		return false, err
	}
	switch answer {
	case "Yes": // the module reboots something else than this device
		if _, err := i.call(ctx, "ArtifactReboot"); err != nil {
			return false, err
		}
		_, err := i.call(ctx, "ArtifactVerifyReboot")
		return false, err
	case "Automatic":
		return true, i.markBoot()
	}
	return false, nil
}

// Verify asks after a boot whether the module is content.
func (i *Installer) Verify(ctx context.Context, _ install.Written) error {
	if !i.toBoot() {
		return nil
	}
	_, err := i.call(ctx, "ArtifactVerifyReboot")
	return err
}

// Confirm commits. Asked again after the tree was cleaned, it is done.
func (i *Installer) Confirm(ctx context.Context, _ install.Written) error {
	if _, err := os.Stat(i.tree); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := i.call(ctx, "ArtifactCommit")
	return err
}

// RollBack undoes what can be undone. A module that cannot says so in the log.
func (i *Installer) RollBack(ctx context.Context, _ install.Written, _ install.Reason) error {
	if _, err := os.Stat(i.tree); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	answer, err := i.ask(ctx, "SupportsRollback", "No", "Yes")
	if err != nil {
		return err
	}
	if answer == "Yes" {
		if _, err := i.call(ctx, "ArtifactRollback"); err != nil {
			return err
		}
	} else {
		i.o.Log("error", "module "+i.o.Kind+" cannot roll back: what is installed may be inconsistent")
	}
	_, err = i.call(ctx, "ArtifactFailure")
	return err
}

// Clean calls the module's Cleanup and removes the tree.
func (i *Installer) Clean(ctx context.Context) error {
	if _, err := os.Stat(i.tree); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := i.call(ctx, "Cleanup")
	return errors.Join(err, os.RemoveAll(filepath.Dir(i.tree)))
}

// bootMark, beside the tree, remembers over the boot that there was to be one.
const bootMark = "boot"

func (i *Installer) beside(name string) string { return filepath.Join(filepath.Dir(i.tree), name) }

func (i *Installer) markBoot() error { return atomicfile.Write(i.beside(bootMark), nil, 0o600) }

func (i *Installer) toBoot() bool {
	_, err := os.Stat(i.beside(bootMark))
	return err == nil
}
