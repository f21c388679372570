package exec

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/mcuboot"
)

// keys are the lines of `state`, and where they go.
var keys = map[string]func(*child.State, string) error{
	"version":       func(s *child.State, v string) error { return version(&s.Running, v) },
	"hash":          func(s *child.State, v string) error { return hash(&s.Running, v) },
	"confirmed":     func(s *child.State, v string) error { return truth(&s.Running.Confirmed, v) },
	"other_version": func(s *child.State, v string) error { return version(&s.Other, v) },
	"other_hash":    func(s *child.State, v string) error { return hash(&s.Other, v) },
	"other_pending": func(s *child.State, v string) error { return truth(&s.Other.Pending, v) },
}

// parseState reads the lines of `state`.
func parseState(text string) (s child.State, err error) {
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		set, known := keys[key]
		if !known || seen[key] {
			return s, fmt.Errorf("it printed %.80q; want each of version, hash, confirmed, other_version, other_hash, other_pending at most once", line)
		}
		seen[key] = true
		if err := set(&s, value); err != nil {
			return s, fmt.Errorf("%s: %w", key, err)
		}
	}
	switch {
	case !seen["version"]:
		return s, errors.New("it printed no version=")
	case seen["hash"] && !seen["confirmed"]:
		return s, errors.New("it printed hash= without confirmed=")
	}
	return s, nil
}

func version(s *child.Slot, text string) (err error) {
	s.Version, err = mcuboot.ParseVersion(text)
	return err
}

func hash(s *child.Slot, text string) (err error) {
	if s.Hash, err = hex.DecodeString(text); err == nil && len(s.Hash) != 32 {
		err = fmt.Errorf("%d bytes, want 32 in hex", len(s.Hash))
	}
	return err
}

func truth(b *bool, text string) error {
	if text != "yes" && text != "no" {
		return fmt.Errorf("%.20q, want yes or no", text)
	}
	*b = text == "yes"
	return nil
}
