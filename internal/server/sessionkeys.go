package server

import (
	"bufio"
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/session"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// Session keys are lines of a file, the newest first: the suite and the
// private key in hex. A suite has one key, and two while they change.
const (
	sessionKeyFile = "session.keys"
	maxSessionKeys = 4 << 10 // bytes of the file
	keysOfSuite    = 2
)

var suites = []struct {
	suite securemsg.Suite
	curve ecdh.Curve
}{
	{securemsg.X25519, ecdh.X25519()},
	{securemsg.P256, ecdh.P256()},
}

// sessionKeys reads the keys with which devices shake hands, and makes them
// when there are none.
func sessionKeys(dir string) ([]session.ServerKey, error) {
	path := filepath.Join(dir, sessionKeyFile)
	text, err := atomicfile.Read(path, maxSessionKeys)
	if errors.Is(err, fs.ErrNotExist) {
		return newSessionKeys(dir, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("read session keys: %w", err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm()&0o077 != 0 {
		return nil, errors.Join(err, fmt.Errorf("session keys in %s can be read by others; chmod 600 it", path))
	}
	var keys []session.ServerKey
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		k, err := parseSessionKey(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("read session keys in %s: %w", path, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func parseSessionKey(line string) (session.ServerKey, error) {
	name, digits, _ := strings.Cut(line, " ")
	raw, err := hex.DecodeString(digits)
	for _, s := range suites {
		if s.suite.String() == name && err == nil {
			key, err := s.curve.NewPrivateKey(raw)
			return session.ServerKey{Suite: s.suite, Key: key}, err
		}
	}
	return session.ServerKey{}, errors.Join(errors.New("a line is no suite and key"), err)
}

// newSessionKeys makes a key of each suite, and stores it before those that
// are there; of these the newest stays, for devices that hold it.
func newSessionKeys(dir string, old []session.ServerKey) ([]session.ServerKey, error) {
	var keys []session.ServerKey
	for _, s := range suites {
		key, err := session.NewKey(s.suite, rand.Reader)
		if err != nil {
			return nil, err
		}
		keys = append(keys, session.ServerKey{Suite: s.suite, Key: key})
	}
	kept := map[securemsg.Suite]int{}
	for _, k := range old {
		if kept[k.Suite]++; kept[k.Suite] < keysOfSuite {
			keys = append(keys, k)
		}
	}
	var text strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&text, "%s %x\n", k.Suite, k.Key.(*ecdh.PrivateKey).Bytes())
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store session keys: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(dir, sessionKeyFile), []byte(text.String()), 0o600); err != nil {
		return nil, fmt.Errorf("store session keys: %w", err)
	}
	return keys, nil
}

// SessionKeys are the server's public session keys, which devices are given,
// the newest first; made when there are none.
func SessionKeys(o Options) ([]string, error) {
	keys, err := sessionKeys(o.Data)
	return public(keys), err
}

func public(keys []session.ServerKey) (all []string) {
	for _, k := range keys {
		all = append(all, securemsg.ServerKey{Suite: k.Suite, Public: k.Key.PublicKey().Bytes()}.String())
	}
	return all
}

// RotateSessionKeys makes new session keys. Devices learn them in their next
// session; the ones before are good until the next rotation.
func RotateSessionKeys(o Options) ([]string, error) {
	l, err := lock(o.Data)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	keys, err := sessionKeys(o.Data)
	if err == nil {
		keys, err = newSessionKeys(o.Data, keys)
	}
	return public(keys), err
}
