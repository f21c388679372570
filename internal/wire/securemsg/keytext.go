package securemsg

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// String is the key as people hand it on: suite, colon, public key in hex.
func (k ServerKey) String() string { return k.Suite.String() + ":" + hex.EncodeToString(k.Public) }

// ParseServerKey reads what String wrote.
func ParseServerKey(text string) (ServerKey, error) {
	name, digits, _ := strings.Cut(text, ":")
	for _, s := range []Suite{X25519, P256} {
		if s.String() != name {
			continue
		}
		public, err := hex.DecodeString(digits)
		if err == nil {
			err = checkPublic(s, public)
		}
		if err != nil {
			return ServerKey{}, fmt.Errorf("server key %.80q: %w", text, err)
		}
		return ServerKey{s, public}, nil
	}
	return ServerKey{}, fmt.Errorf("server key %.80q: %w: want x25519: or p256: and the key in hex, as moult server session-keys prints it", text, ErrMessage)
}

// String is the suite's curve, in lower case.
func (s Suite) String() string {
	switch s {
	case X25519:
		return "x25519"
	case P256:
		return "p256"
	}
	return fmt.Sprintf("suite-%d", uint8(s))
}
