package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Options are all that a server can be told: by a YAML file, then by the
// environment, then by flags; the later wins. The zero Options are not
// sensible; Defaults are.
type Options struct {
	Listen       string
	PublicURL    string
	Data         string
	Database     string
	TLS          string
	TLSCert      string
	TLSKey       string
	InsecureHTTP bool
	VerifyKeys   []string
	ImageKeys    []string
	MQTT         string
	MQTTLeaves   string
	MQTTBroker   string
	MQTTCA       string
	MQTTCert     string
	MQTTKey      string
	MQTTRate     string
	Metrics      string
	LogLevel     string
	LogFormat    string
}

// Defaults are what a server does when it is told nothing.
func Defaults() Options {
	return Options{Listen: "127.0.0.1:8080", Data: "moult-data", MQTTRate: "2MiB", Metrics: "auto", LogLevel: "info", LogFormat: "auto"}
}

// A Field is one option: its name in the file and as a flag, and where its
// value is. The environment spells it MOULT_ and the name in capitals.
type Field struct {
	Name  string
	Doc   string
	Value any // *string, *bool or *[]string
}

// Fields lists o's options in the order in which they are printed.
func (o *Options) Fields() []Field {
	return []Field{
		{"listen", "address and port of all APIs", &o.Listen},
		{"public-url", "how devices and operators reach the server, when a proxy is in front", &o.PublicURL},
		{"data", "directory for the database, artifacts and keys", &o.Data},
		{"database", "postgres://… instead of SQLite in the data directory", &o.Database},
		{"tls", `"self-signed" makes a certificate once and keeps it in the data directory`, &o.TLS},
		{"tls-cert", "file with the certificate chain, PEM", &o.TLSCert},
		{"tls-key", "file with the certificate's key, PEM", &o.TLSKey},
		{"insecure-http", "speak plain HTTP on addresses that others can reach", &o.InsecureHTTP},
		{"verify-key", "file with a public key; with any, uploads that none of them signed are refused", &o.VerifyKeys},
		{"image-key", "file with a public key; with any, uploads with an MCUboot image that none of them signed are refused", &o.ImageKeys},
		{"mqtt", "address and port at which the embedded broker takes devices, such as 0.0.0.0:8883; empty: none", &o.MQTT},
		{"mqtt-leaves", "address and port at which it takes the brokers of gateways; empty: none", &o.MQTTLeaves},
		{"mqtt-broker", "mqtts://user:password@host:port of a broker to use instead of the embedded one", &o.MQTTBroker},
		{"mqtt-ca", "file with the certificates that this broker's is checked against, PEM; empty: the system's", &o.MQTTCA},
		{"mqtt-cert", "file with the certificate to show to it, PEM", &o.MQTTCert},
		{"mqtt-key", "file with that certificate's key, PEM", &o.MQTTKey},
		{"mqtt-rate", "bytes a second at which one object is sent to all devices that wait for it", &o.MQTTRate},
		{"metrics", "who may read /metrics: open, token, or auto (open on loopback only)", &o.Metrics},
		{"log-level", "debug, info, warn or error", &o.LogLevel},
		{"log-format", "json, text, or auto (text on a terminal)", &o.LogFormat},
	}
}

// Env is the environment variable of the field.
func (f Field) Env() string {
	return "MOULT_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// set takes a value as the environment spells it; a list is split at commas.
func (f Field) set(text string) error {
	switch v := f.Value.(type) {
	case *string:
		*v = text
	case *[]string:
		*v = strings.Split(text, ",")
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%s: %q is neither true nor false", f.Name, text)
		}
		*v = b
	}
	return nil
}

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// LoadFile takes options from a YAML file; an unknown key is an error.
func (o *Options) LoadFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	if err := o.parse(text); err != nil {
		return fmt.Errorf("read configuration %s: %w", path, err)
	}
	return nil
}

func (o *Options) parse(text []byte) error {
	file := map[string]yaml.Node{}
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for _, f := range o.Fields() {
		node, ok := file[f.Name]
		delete(file, f.Name)
		if !ok {
			continue
		}
		if err := node.Decode(f.Value); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	for name, node := range file {
		return fmt.Errorf("line %d: unknown key %q; `moult server config` prints the known ones", node.Line, name)
	}
	return nil
}

// LoadEnv takes options from the environment.
func (o *Options) LoadEnv(lookup func(string) (string, bool)) error {
	for _, f := range o.Fields() {
		text, ok := lookup(f.Env())
		if !ok || text == "" {
			continue
		}
		if err := f.set(text); err != nil {
			return fmt.Errorf("environment %s: %w", f.Env(), err)
		}
	}
	return nil
}

// YAML prints the options as a file that LoadFile reads. A password in the
// database's address is not printed.
func (o Options) YAML() string {
	o.Database, o.MQTTBroker = withoutPassword(o.Database), withoutPassword(o.MQTTBroker)
	var b strings.Builder
	for _, f := range o.Fields() {
		value, _ := yaml.Marshal(map[string]any{f.Name: f.Value})
		fmt.Fprintf(&b, "# %s\n%s", f.Doc, value)
	}
	return b.String()
}

// Take sets f's value to that of another Options' same field.
func (f Field) Take(other Field) {
	switch v := f.Value.(type) {
	case *string:
		*v = *other.Value.(*string)
	case *bool:
		*v = *other.Value.(*bool)
	case *[]string:
		*v = *other.Value.(*[]string)
	}
}
