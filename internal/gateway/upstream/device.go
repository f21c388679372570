package upstream

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/deployment"
)

// A lanDevice is what is remembered of a device: what the server said of it.
type lanDevice struct {
	Key    string // names it here
	Proved string // identity and key that its token was given to; empty when not seen
	Token  string // the last one that the server took, or gave
	Offer  *offer // the last one; nil for none
}

// An offer is what the server wants a device to install.
type offer struct {
	Deployment deployment.ID
	SHA256     string // hex; empty when the server did not say
	Size       int64
	URI        string // at the server
	Reply      []byte // of the server
	Ended      bool   // the device has reported how it ended
}

// devices are those that the server let in. A token that it never took or
// gave is nobody's.
type devices struct {
	folder string
	most   int

	mu     sync.Mutex
	all    map[string]*lanDevice // by key
	tokens map[string]string     // digest of a token → key
	proved map[string]string     // lanDevice.Proved → key
}

const maxDevice = 256 << 10 // bytes of a file

func openDevices(folder string, most int) (*devices, error) {
	d := &devices{folder: folder, most: most, all: map[string]*lanDevice{}, tokens: map[string]string{}, proved: map[string]string{}}
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range files {
		var one lanDevice
		text, err := atomicfile.Read(path, maxDevice)
		if err != nil || json.Unmarshal(text, &one) != nil || one.Key == "" {
			os.Remove(path) // it is only a memory, and the device comes again
			continue
		}
		d.put(one)
	}
	return d, nil
}

// put indexes a device.
func (d *devices) put(one lanDevice) {
	if old, ok := d.all[one.Key]; ok {
		delete(d.tokens, digest(old.Token))
	}
	d.all[one.Key] = &one
	if one.Token != "" {
		d.tokens[digest(one.Token)] = one.Key
	}
	if one.Proved != "" {
		d.proved[one.Proved] = one.Key
	}
}

// learn remembers a token that the server took, or gave to who proved to be
// somebody. With nothing new it writes nothing.
func (d *devices) learn(token, proved string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := keyOf(token)
	one := lanDevice{Key: key}
	if old, known := d.all[key]; known {
		one = *old
	} else if len(d.all) >= d.most {
		return nil // served all the same, but not while the uplink is down
	}
	if one.Token == token && (proved == "" || one.Proved == proved) {
		return nil
	}
	one.Token, one.Proved = token, or(proved, one.Proved)
	return d.save(one)
}

func (d *devices) save(one lanDevice) error {
	text, err := json.Marshal(one)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(d.folder, one.Key+".json"), text, 0o600); err != nil {
		return fmt.Errorf("remember device: %w", err)
	}
	d.put(one)
	return nil
}

// forget drops what the server takes no longer: index is tokens, or proved.
func (d *devices) forget(what string, index map[string]string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	one, known := d.get(index[what])
	if !known {
		return nil
	}
	delete(index, what)
	delete(d.proved, one.Proved)
	one.Token, one.Proved = "", ""
	return d.save(one)
}

// whose returns the device that a token is of.
func (d *devices) whose(token string) (lanDevice, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.get(d.tokens[digest(token)])
}

func (d *devices) whoProved(who string) (lanDevice, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.get(d.proved[who])
}

// named returns the device of a key.
func (d *devices) named(key string) (lanDevice, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.get(key)
}

func (d *devices) get(key string) (lanDevice, bool) {
	if one, ok := d.all[key]; ok {
		return *one, true
	}
	return lanDevice{}, false
}

// change edits what is remembered of a device.
func (d *devices) change(key string, edit func(*lanDevice) (changed bool)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	one, ok := d.get(key)
	if !ok || !edit(&one) {
		return nil
	}
	return d.save(one)
}

// keyOf names the device of a token: by the subject of a JWT, which stays when
// the token is renewed. The server has vouched for the token.
func keyOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) == 3 {
		var claims struct {
			Subject string `json:"sub"`
		}
		js, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil && json.Unmarshal(js, &claims) == nil && claims.Subject != "" {
			return digest("subject " + claims.Subject)
		}
	}
	return digest("token " + token)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
