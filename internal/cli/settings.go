package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/moult-ota/moult/internal/atomicfile"
)

// settings are what `moult login` keeps: servers, and the token for each.
type settings struct {
	Current  string              `yaml:"current,omitempty"`
	Contexts map[string]*account `yaml:"contexts,omitempty"`
}

// An account is one server and who we are there.
type account struct {
	Server      string `yaml:"server"`
	Token       string `yaml:"token,omitempty"`
	Fingerprint string `yaml:"tls-fingerprint,omitempty"` // SHA-256 of a self-signed certificate, hex
}

const maxSettings = 1 << 20 // bytes

// settingsPath is $XDG_CONFIG_HOME/moult/config.yaml.
func (p *program) settingsPath() (string, error) {
	if dir, ok := p.lookup("XDG_CONFIG_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "moult", "config.yaml"), nil
	}
	home, ok := p.lookup("HOME")
	if !ok || home == "" {
		return "", errors.New("find settings: neither XDG_CONFIG_HOME nor HOME is set")
	}
	return filepath.Join(home, ".config", "moult", "config.yaml"), nil
}

// load reads the settings; a file that is not there is empty.
func (p *program) load() (*settings, error) {
	s := &settings{Contexts: map[string]*account{}}
	path, err := p.settingsPath()
	if err != nil {
		return nil, err
	}
	text, err := atomicfile.Read(path, maxSettings)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(s); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read settings %s: %w", path, err)
	}
	if st, err := os.Stat(path); err == nil && st.Mode().Perm()&0o077 != 0 {
		p.say("warning: %s holds tokens and others may read it; chmod 600 it", path)
	}
	return s, nil
}

// save writes the settings so that only their owner reads them.
func (p *program) save(s *settings) error {
	path, err := p.settingsPath()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("save settings: %w", err)
	}
	text, err := yaml.Marshal(s)
	if err != nil {
		return fmt.Errorf("save settings: %w", err)
	}
	return atomicfile.Write(path, text, 0o600)
}

// say tells people; it is never data.
func (p *program) say(format string, args ...any) {
	if !p.quiet {
		fmt.Fprintf(p.err, format+"\n", args...)
	}
}
