package agent

import (
	"context"
	"crypto"
	"net/http"
	"time"

	"github.com/moult-ota/moult/artifact"
)

// What a gateway, which runs an agent for each of its children, sets up as a
// device does.

// NewTransport is HTTP that also trusts the certificates of a PEM file, and
// with a pin no other key; empty for neither.
func NewTransport(certificate, pin string) (*http.Transport, error) {
	return (&Config{ServerCertificate: certificate, Pin: pin}).transport()
}

// DeviceKey reads a device's key, and makes one when there is none.
func DeviceKey(path string) (crypto.Signer, error) { return (&Config{Key: path}).deviceKey() }

// Verifiers reads the keys that artifacts are verified with. One that cannot
// be read verifies nothing; the error says which.
func Verifiers(paths []string) ([]artifact.Verifier, error) {
	return (&Config{VerifyKeys: paths}).verifiers()
}

// LockFile returns an Options.Lock that other programs see. patient is how
// long it waits for them; 0 means for ever.
func LockFile(path string, patient time.Duration) func(context.Context) (func(), error) {
	return fileLock{path, patient}.lock
}

// RunProgram runs a program in a process group of its own, and returns the
// beginning of what it printed. When ctx ends, the whole group is killed.
func RunProgram(ctx context.Context, path string, args ...string) ([]byte, error) {
	return run(ctx, path, args...)
}

// WireName is what a device is called by brokers: half of the SHA-256 of its
// public key, in hex.
func WireName(key crypto.Signer) (string, error) { return wireName(key) }
