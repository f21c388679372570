// Package module installs payloads through Mender's update modules, version 3.
package module

import (
	"errors"

	"github.com/moult-ota/moult/internal/install"
)

// Options say which module to run, and where.
type Options struct {
	Folder     string // of modules, such as /usr/share/mender/modules/v3
	Work       string // where a module's tree is made
	Kind       string // payload type, the module's file name
	DeviceType string
	Provides   map[string]string
	Log        func(level, message string)
}

// New returns the installer for a payload type.
func New(o Options) (install.Installer, error) { return nil, errors.New("soon") }
