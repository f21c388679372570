// Package device holds the words for one updatable thing: its identity, its
// keys and its standing with the fleet. It knows no protocol and no database.
package device

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// An ID names a device for as long as the fleet knows it.
type ID string

// Status is a device's standing with the fleet.
type Status string

const (
	Pending        Status = "pending"        // asked to join, nobody answered yet
	Accepted       Status = "accepted"       // takes part in deployments
	Rejected       Status = "rejected"       // turned away, may be accepted later
	Preauthorized  Status = "preauthorized"  // expected: the first request with this key is accepted
	Decommissioned Status = "decommissioned" // gone for good; its history stays
)

// Limits of what a device may say about itself.
const (
	MaxIdentity  = 4 << 10 // bytes of identity JSON
	MaxKey       = 8 << 10 // bytes of public key PEM
	MaxType      = 256     // bytes of device type
	maxAttribute = 64      // identity attributes
)

// ErrIdentity is returned for identity data that names no device.
var ErrIdentity = errors.New("bad identity data")

// A Device is what the fleet knows of one device.
type Device struct {
	ID        ID
	Identity  Identity
	Status    Status
	Type      string // device type; empty until the device said so
	Release   string // name of the artifact that runs now
	Parent    ID     // gateway in front of it; empty for none
	Provides  map[string]string
	CreatedAt time.Time
	SeenAt    time.Time // last contact; written in batches, so up to a minute late
}

// An Identity is canonical JSON: an object of strings, or lists of strings,
// with sorted keys. Two devices with equal identities are one device.
type Identity string

// ParseIdentity brings identity JSON into canonical form.
func ParseIdentity(src string) (Identity, error) {
	if len(src) > MaxIdentity {
		return "", fmt.Errorf("%w: %d bytes, at most %d", ErrIdentity, len(src), MaxIdentity)
	}
	var attrs map[string]any
	if err := json.Unmarshal([]byte(src), &attrs); err != nil {
		return "", fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	if len(attrs) == 0 || len(attrs) > maxAttribute {
		return "", fmt.Errorf("%w: %d attributes, want 1 to %d", ErrIdentity, len(attrs), maxAttribute)
	}
	for name, v := range attrs {
		if !identityValue(v) {
			return "", fmt.Errorf("%w: attribute %q is neither a string nor a list of strings", ErrIdentity, name)
		}
	}
	canonical, err := json.Marshal(attrs) // sorts the keys
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	return Identity(canonical), nil
}

func identityValue(v any) bool {
	switch v := v.(type) {
	case string:
		return v != ""
	case []any:
		for _, e := range v {
			if _, ok := e.(string); !ok {
				return false
			}
		}
		return len(v) > 0
	}
	return false
}

// Hash is the identity's SHA-256 in hex; the fleet looks devices up by it.
func (i Identity) Hash() string {
	sum := sha256.Sum256([]byte(i))
	return hex.EncodeToString(sum[:])
}

// A Key is one public key that a device came with, and its own standing:
// only one key of a device is accepted at a time.
type Key struct {
	Fingerprint string // SHA-256 of the DER, hex
	PEM         string // SubjectPublicKeyInfo
	Status      Status
	CreatedAt   time.Time
}
