// Package boottest is the power-cut suite for boot environments, and what it
// needs: flash and disks that forget as real ones do, and a device on top.
//
// A boot.Env passes when Run finds no cut, at any write of any scenario, that
// breaks one of the Invariants.
package boottest

import "github.com/moult-ota/moult/internal/boot"

// Memory is a boot.Env for tests that cut no power. The zero Memory is a
// device without an image.
type Memory struct{ Vars boot.Vars }

// Load returns what was saved.
func (m *Memory) Load() (boot.Vars, error) { return m.Vars, nil }

// Save keeps v.
func (m *Memory) Save(v boot.Vars) error { m.Vars = v; return nil }
