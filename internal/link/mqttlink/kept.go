package mqttlink

import (
	"crypto/ecdh"
	"encoding/json"
	"fmt"
	"io"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/session"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// kept is what a link must remember over a power cut. Every change is saved
// before it shows on the wire.
type kept struct {
	Session []byte        `json:"session_key"` // private
	Servers []string      `json:"server_keys"` // newest first
	Boots   uint64        `json:"boots"`
	Numbers uint64        `json:"numbers"` // none below this is used again
	Last    uint64        `json:"last_assignment"`
	Working deployment.ID `json:"working,omitempty"`
	Told    []byte        `json:"assignment,omitempty"`

	store   Store
	private *ecdh.PrivateKey
	next    uint64 // number of the next message; below Numbers
	pinned  []securemsg.ServerKey
}

// numberBlock is how many numbers are set aside at once, so that not every
// message is a write.
const numberBlock = 64

// load reads what is kept, and makes a session key when there is none. What
// cannot be understood is lost: the device enrols again.
func load(store Store, random io.Reader) (*kept, error) {
	text, err := store.Load()
	if err != nil {
		return nil, fmt.Errorf("read session state: %w", err)
	}
	k := &kept{store: store}
	if len(text) > 0 {
		if err := json.Unmarshal(text, k); err != nil {
			return nil, fmt.Errorf("read session state: %w; remove it to enrol anew", err)
		}
	}
	if k.Session == nil {
		key, err := session.NewKey(suite, random)
		if err != nil {
			return nil, err
		}
		k.Session = key.Bytes()
	}
	if k.private, err = ecdh.X25519().NewPrivateKey(k.Session); err != nil {
		return nil, fmt.Errorf("read session state: %w; remove it to enrol anew", err)
	}
	k.Boots++
	k.next = k.Numbers
	k.Numbers += numberBlock
	return k, k.save()
}

func (k *kept) save() error {
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := k.store.Save(text); err != nil {
		return fmt.Errorf("save session state: %w", err)
	}
	return nil
}

// number returns one that no message had before.
func (k *kept) number() (uint64, error) {
	if k.next+1 >= k.Numbers {
		k.Numbers += numberBlock
		if err := k.save(); err != nil {
			return 0, err
		}
	}
	k.next++
	return k.next, nil
}

// pin makes keys the only ones that are trusted, but for those that were
// told in a session since.
func (k *kept) pin(keys []securemsg.ServerKey) { k.pinned = keys }

// server is the key to shake hands with; false when none is known.
func (k *kept) server() (securemsg.ServerKey, bool) {
	for _, text := range k.Servers {
		if key, err := securemsg.ParseServerKey(text); err == nil && key.Suite == suite {
			return key, true
		}
	}
	for _, key := range k.pinned {
		if key.Suite == suite {
			return key, true
		}
	}
	return securemsg.ServerKey{}, false
}

// trust takes the keys of an enrolment's answer: those that are pinned, or
// the first that ever came.
func (k *kept) trust(keys []securemsg.ServerKey) error {
	if len(k.Servers) > 0 {
		return nil
	}
	if len(k.pinned) > 0 {
		pins := make([]securemsg.Pin, len(k.pinned))
		for i, p := range k.pinned {
			pins[i] = p.Pin()
		}
		if keys = securemsg.Pinned(keys, pins); len(keys) == 0 {
			return errPins
		}
	}
	return k.replace(keys)
}

// replace takes keys that a session told.
func (k *kept) replace(keys []securemsg.ServerKey) error {
	k.Servers = nil
	for _, key := range keys {
		k.Servers = append(k.Servers, key.String())
	}
	return k.save()
}

// forgetServers goes back to the keys that are pinned: the server may have
// lost its own.
func (k *kept) forgetServers() error {
	if len(k.pinned) == 0 || len(k.Servers) == 0 {
		return nil
	}
	k.Servers = nil
	return k.save()
}

// take keeps an assignment.
func (k *kept) take(a securemsg.Assignment) error {
	text, err := a.Append(nil)
	if err != nil {
		return err
	}
	k.Last, k.Working, k.Told = a.Number, a.Deployment, text
	return k.save()
}

// done forgets the assignment, and with it its content key.
func (k *kept) done() error {
	if k.Told == nil {
		return nil
	}
	k.Working, k.Told = "", nil
	return k.save()
}

// assignment is the one under way.
func (k *kept) assignment() (securemsg.Assignment, bool) {
	if k.Told == nil {
		return securemsg.Assignment{}, false
	}
	m, err := securemsg.ParseDown(k.Told)
	a, ok := m.(securemsg.Assignment)
	return a, ok && err == nil
}
