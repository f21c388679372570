package gateway

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/atomicfile"
)

// DefaultConfig is where the configuration is looked for.
const DefaultConfig = "/etc/moult/gateway.json"

// Limits of a configuration.
const (
	maxConfig   = 1 << 20 // bytes of the file
	maxChildren = 256
)

// envPrefix begins the environment variables: MOULT_GATEWAY_STATE_DIR.
const envPrefix = "MOULT_GATEWAY_"

// A Config is what a gateway can be told, by a JSON file, then by the
// environment, then by flags; the later wins. Children are in the file alone.
type Config struct {
	ID                string
	Servers           list
	ServerCertificate string
	Pin               string
	Token             string
	VerifyKeys        list
	StateDir          string
	Poll              time.Duration
	Inventory         time.Duration
	Retry             time.Duration
	RetryMax          time.Duration
	Trial             time.Duration
	Listen            string
	ListenCertificate string
	ListenKey         string
	CacheBytes        int64
	Broker            string
	BrokerLeaves      string
	BrokerListen      string
	ServerKeys        list
	Children          []*Child

	settings *flag.FlagSet
}

// newConfig returns the defaults. Every setting has one line here.
func newConfig() *Config {
	c := &Config{settings: flag.NewFlagSet("moult-gateway", flag.ContinueOnError)}
	f := c.settings
	f.StringVar(&c.ID, "id", "", "this gateway's `name`; part of each child's identity, so it never changes")
	f.Var(&c.Servers, "servers", "server `addresses`, in the order in which they are tried")
	f.StringVar(&c.ServerCertificate, "server-certificate", "", "PEM `file` of certificates to trust besides the system's")
	f.StringVar(&c.Pin, "pin", "", "SHA-256 of the server's public key, `hex`; no other is accepted")
	f.StringVar(&c.Token, "token", "", "enrolment `token` for the children")
	f.Var(&c.VerifyKeys, "verify-keys", "PEM `files` of the keys that may sign artifacts; none: nothing is installed")
	f.StringVar(&c.StateDir, "state-dir", "/var/lib/moult-gateway", "`folder` for the children's keys and records, and the cache")
	f.DurationVar(&c.Poll, "poll", 30*time.Minute, "`time` between polls of a child")
	f.DurationVar(&c.Inventory, "inventory", 8*time.Hour, "`time` between inventory reports")
	f.DurationVar(&c.Retry, "retry", 10*time.Second, "first `wait` after an error; it doubles")
	f.DurationVar(&c.RetryMax, "retry-max", 10*time.Minute, "longest `wait` after an error")
	f.DurationVar(&c.Trial, "trial", 15*time.Minute, "`time` that the server has to hear of a new image before it is confirmed")
	f.StringVar(&c.Listen, "listen", "", "`address` for devices on the LAN, as in :8080; empty: none are served")
	f.StringVar(&c.ListenCertificate, "listen-certificate", "", "PEM `file` of the certificate for them; empty: plain HTTP")
	f.StringVar(&c.ListenKey, "listen-key", "", "PEM `file` of its key")
	f.Int64Var(&c.CacheBytes, "cache-bytes", 1<<30, "`bytes` of artifacts that are kept for devices and children; 0: none")
	f.StringVar(&c.Broker, "broker", "", "`address` of the server's broker, mqtts://host:port, for devices on the LAN that use MQTT; empty: none are served")
	f.StringVar(&c.BrokerLeaves, "broker-leaves", "", "`address` at which it takes the brokers of gateways, host:port")
	f.StringVar(&c.BrokerListen, "broker-listen", "", "`address` for those devices, as in :8883; with listen-certificate encrypted")
	f.Var(&c.ServerKeys, "server-keys", "session `keys` of the server, as moult server session-keys prints them; empty: those of its first answer")
	return c
}

// brokerSecure reports whether the server's broker is reached encrypted.
func (c *Config) brokerSecure() bool { return strings.HasPrefix(c.Broker, "mqtts:") }

// names are what can be a folder and part of an identity.
var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ReadConfig reads the file and the environment; flags come later. asked says
// that a missing file is an error.
func ReadConfig(path string, asked bool, env []string) (*Config, error) {
	c := newConfig()
	text, err := atomicfile.Read(path, maxConfig)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		text, err = []byte("{}"), nil
	}
	if err == nil {
		if err = c.parse(text); err != nil {
			err = fmt.Errorf("read %s: %w", path, err)
		}
	}
	if err != nil {
		return nil, err
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		key, ours := strings.CutPrefix(name, envPrefix)
		if !ours || key == "CONFIG" {
			continue
		}
		if err := set(c.settings, strings.ToLower(key), value); err != nil {
			return nil, fmt.Errorf("environment: %s: %w", name, err)
		}
	}
	return c, nil
}

func (c *Config) parse(text []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	var children []map[string]json.RawMessage
	if raw, ok := all["children"]; ok {
		if err := json.Unmarshal(raw, &children); err != nil {
			return fmt.Errorf("children: %w", err)
		}
		delete(all, "children")
	}
	if len(children) > maxChildren {
		return fmt.Errorf("%d children, at most %d", len(children), maxChildren)
	}
	for n, one := range children {
		k := newChild()
		if err := apply(k.settings, one); err != nil {
			return fmt.Errorf("child %d: %w", n+1, err)
		}
		c.Children = append(c.Children, k)
	}
	return apply(c.settings, all)
}

// Check refuses what no gateway can run with.
func (c *Config) Check() error {
	if !names.MatchString(c.ID) {
		return fmt.Errorf("id %.80q: want a name of letters, digits, dots, dashes and underscores; set id", c.ID)
	}
	if (c.ListenCertificate == "") != (c.ListenKey == "") {
		return errors.New("listen_certificate and listen_key come together")
	}
	if c.Listen != "" && len(c.Servers) == 0 {
		return errors.New("listen: there is nobody to ask for the devices there; set servers")
	}
	if err := c.checkLeaf(); err != nil {
		return err
	}
	ids, addresses := map[string]bool{}, map[string]string{}
	for n, k := range c.Children {
		if err := k.check(); err != nil {
			return fmt.Errorf("child %d (%s): %w", n+1, k.ID, err)
		}
		if ids[k.ID] {
			return fmt.Errorf("two children with id %q", k.ID)
		}
		if other, taken := addresses[k.Driver+" "+k.Address]; taken {
			return fmt.Errorf("children %s and %s have the same address %s", other, k.ID, k.Address)
		}
		ids[k.ID], addresses[k.Driver+" "+k.Address] = true, k.ID
	}
	return nil
}

// child returns the one of an id.
func (c *Config) child(id string) (*Child, error) {
	for _, k := range c.Children {
		if k.ID == id {
			return k, nil
		}
	}
	return nil, fmt.Errorf("no child %q is configured; moult-gateway show lists them", id)
}

// JSON is the configuration as a file would hold it, with all defaults.
func (c *Config) JSON() []byte {
	all := values(c.settings)
	children := []any{}
	for _, k := range c.Children {
		children = append(children, values(k.settings))
	}
	all["children"] = children
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		panic("config: " + err.Error()) // texts and lists of them always encode
	}
	return append(text, '\n')
}
