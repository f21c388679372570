package agent

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/atomicfile"
)

// DefaultConfig is where the configuration is looked for.
const DefaultConfig = "/etc/moult/agent.json"

// maxConfig bounds the configuration file, in bytes.
const maxConfig = 64 << 10

// envPrefix begins the environment variables: MOULT_AGENT_STATE_DIR.
const envPrefix = "MOULT_AGENT_"

// A Config is what a device's program can be told, by a JSON file, then by
// the environment, then by flags; the later wins. A key that is not known is
// an error, wherever it stands.
type Config struct {
	Servers           list
	ServerCertificate string
	Pin               string
	ClientCertificate string
	Token             string
	ServerKeys        list
	Metered           bool
	DeviceType        string
	Identity          list
	IdentityCommand   string
	VerifyKeys        list
	Key               string
	StateDir          string
	SlotA, SlotB      string
	Running           string
	RunningCommand    string
	Boot              string
	BootEnv           string
	BootParts         list
	Register          string
	ModulesDir        string
	HealthDir         string
	HealthTimeout     time.Duration
	InventoryDir      string
	Poll              time.Duration
	Inventory         time.Duration
	Retry             time.Duration
	RetryMax          time.Duration
	Trial             time.Duration
	Tries             uint
	RebootCommand     list

	settings *flag.FlagSet // by name, with dashes
	path     string        // of the file
}

// newConfig returns the defaults. Every setting has one line here; a name's
// dashes are underscores in the file and in the environment.
func newConfig() *Config {
	c := &Config{settings: flag.NewFlagSet("moult-agent", flag.ContinueOnError)}
	f := c.settings
	f.Var(&c.Servers, "servers", "server `addresses`, https://… or mqtts://…, in the order in which they are tried; brokers first")
	f.StringVar(&c.ServerCertificate, "server-certificate", "", "PEM `file` of certificates to trust besides the system's")
	f.StringVar(&c.Pin, "pin", "", "SHA-256 of the server's public key, `hex`; no other is accepted")
	f.StringVar(&c.ClientCertificate, "client-certificate", "", "PEM `file` of a certificate to show, of the device's key; see moult-agent request-certificate")
	f.StringVar(&c.Token, "token", "", "enrolment `token`")
	f.Var(&c.ServerKeys, "server-keys", "session `keys` of the server behind a broker, as moult server session-keys prints them; empty: those of its first answer")
	f.BoolVar(&c.Metered, "metered", false, "keep traffic by MQTT low: a sign of life every 15 minutes, nothing that was not asked for")
	f.StringVar(&c.DeviceType, "device-type", "", "the device's `type`; artifacts name the types that they fit")
	f.Var(&c.Identity, "identity", "`key=value` pairs that name this device; empty: the first MAC address")
	f.StringVar(&c.IdentityCommand, "identity-command", "", "`program` that prints key=value lines instead")
	f.Var(&c.VerifyKeys, "verify-keys", "PEM `files` of the keys that may sign artifacts; none: nothing is installed")
	f.StringVar(&c.Key, "key", "", "PEM `file` of the device's private key (default STATE/device.key, made when missing)")
	f.StringVar(&c.StateDir, "state-dir", "/var/lib/moult", "`folder` for what must survive updates")
	f.StringVar(&c.SlotA, "slot-a", "", "partition or `file` of slot A")
	f.StringVar(&c.SlotB, "slot-b", "", "partition or `file` of slot B")
	f.StringVar(&c.Running, "running", "auto", "`slot` that runs: A, B, or auto: moult.slot= on the kernel command line, else what is mounted at /")
	f.StringVar(&c.RunningCommand, "running-command", "", "`program` that prints A or B instead")
	f.StringVar(&c.Boot, "boot", "register", "`kind` of boot loader: register (moult-sbl), uboot, grub, systemd-boot, script")
	f.StringVar(&c.BootEnv, "boot-env", "", "`path` of the boot loader's variables: uboot: fw_env.config (default /etc/fw_env.config); grub: the folder of mender_grubenv1 (default: the first of /boot/efi/grub-mender-grubenv, /boot/grub/grub-mender-grubenv, /boot/efi/EFI/BOOT, /boot/grub that has it); systemd-boot: where the ESP or XBOOTLDR is mounted (default: the first of /efi, /boot, /boot/efi that has loader/moult); script: the program")
	f.Var(&c.BootParts, "boot-parts", "partition `numbers` of slots A and B, as the boot loader counts; empty: those that slot-a and slot-b end with")
	f.StringVar(&c.Register, "register", "", "partition or `file` of the boot register")
	f.StringVar(&c.ModulesDir, "modules-dir", "/usr/share/mender/modules/v3", "`folder` of update modules")
	f.StringVar(&c.HealthDir, "health-dir", "/etc/moult/health.d", "`folder` of programs that check a new image; all must exit 0")
	f.DurationVar(&c.HealthTimeout, "health-timeout", 5*time.Minute, "`time` that all of them have together")
	f.StringVar(&c.InventoryDir, "inventory-dir", "/usr/share/mender/inventory", "`folder` of programs that print key=value lines of inventory")
	f.DurationVar(&c.Poll, "poll", 30*time.Minute, "`time` between polls")
	f.DurationVar(&c.Inventory, "inventory", 8*time.Hour, "`time` between inventory reports")
	f.DurationVar(&c.Retry, "retry", 10*time.Second, "first `wait` after an error; it doubles")
	f.DurationVar(&c.RetryMax, "retry-max", 10*time.Minute, "longest `wait` after an error")
	f.DurationVar(&c.Trial, "trial", 15*time.Minute, "`time` that a new image has to reach the server")
	f.UintVar(&c.Tries, "tries", 3, "`boots` that a new image gets")
	f.Var(&c.RebootCommand, "reboot-command", "`words` of the command that reboots; empty: systemctl reboot, or reboot(2)")
	return c
}

// A list is a setting with several values. On one line they are separated by
// commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(text string) error {
	*l = nil
	for _, word := range strings.Split(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			*l = append(*l, word)
		}
	}
	return nil
}

// readFile applies a JSON file. A missing one is an error only when it was
// asked for.
func (c *Config) readFile(path string, asked bool) error {
	text, err := atomicfile.Read(path, maxConfig)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return nil
	}
	if err != nil {
		return err
	}
	var values map[string]any
	if err := json.Unmarshal(text, &values); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	for key, v := range values {
		text, err := plain(v)
		if err == nil {
			err = c.set(key, text)
		}
		if err != nil {
			return fmt.Errorf("read %s: %s: %w", path, key, err)
		}
	}
	return nil
}

// plain is a JSON value as a flag would have it.
func plain(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case []any:
		words := make([]string, len(v))
		for i, e := range v {
			word, ok := e.(string)
			if !ok || strings.Contains(word, ",") {
				return "", errors.New("want a list of texts without commas")
			}
			words[i] = word
		}
		return strings.Join(words, ","), nil
	}
	return "", errors.New("want a text, a number or a list of texts")
}

// readEnv applies the environment.
func (c *Config) readEnv(env []string) error {
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		key, ours := strings.CutPrefix(name, envPrefix)
		if !ours || key == "CONFIG" {
			continue
		}
		if err := c.set(strings.ToLower(key), value); err != nil {
			return fmt.Errorf("environment: %s: %w", name, err)
		}
	}
	return nil
}

// set applies a value to the setting of a name with underscores.
func (c *Config) set(key, value string) error {
	name := strings.ReplaceAll(key, "_", "-")
	if c.settings.Lookup(name) == nil || strings.Contains(key, "-") {
		return errors.New("no such setting; moult-agent config shows them all")
	}
	return c.settings.Set(name, value)
}

// JSON is the configuration as a file would hold it. all also has what is as
// by default.
func (c *Config) JSON(all bool) []byte {
	values := map[string]any{}
	c.settings.VisitAll(func(f *flag.Flag) {
		if !all && f.Value.String() == f.DefValue {
			return
		}
		var v any = f.Value.String()
		if l, ok := f.Value.(*list); ok {
			v = append([]string{}, *l...)
		}
		values[strings.ReplaceAll(f.Name, "-", "_")] = v
	})
	text, err := json.MarshalIndent(values, "", "  ")
	if err != nil {
		panic("config: " + err.Error()) // texts and lists of them always encode
	}
	return append(text, '\n')
}

// loadConfig reads the file and the environment; flags come later. path is
// what a flag said; make says that the file is about to be written.
func loadConfig(path string, env []string, make bool) (*Config, error) {
	c := newConfig()
	c.path = DefaultConfig
	for _, e := range env {
		if p, ok := strings.CutPrefix(e, envPrefix+"CONFIG="); ok {
			c.path = p
		}
	}
	if path != "" {
		c.path = path
	}
	if err := c.readFile(c.path, c.path != DefaultConfig && !make); err != nil {
		return nil, err
	}
	return c, c.readEnv(env)
}
