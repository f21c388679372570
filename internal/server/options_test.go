package server

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func env(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

func TestFileThenEnvironment(t *testing.T) {
	o := Defaults()
	if err := o.LoadFile(write(t, "listen: 127.0.0.1:1\ndata: /from/file\nverify-key: [a.pem, b.pem]\ninsecure-http: true\n")); err != nil {
		t.Fatal(err)
	}
	if err := o.LoadEnv(env(map[string]string{"MOULT_LISTEN": "127.0.0.1:2", "MOULT_INSECURE_HTTP": "false", "MOULT_METRICS": ""})); err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Listen, want.Data, want.VerifyKeys = "127.0.0.1:2", "/from/file", []string{"a.pem", "b.pem"}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("options = %+v, want %+v", o, want)
	}
}

func TestPrintedOptionsLoadAgain(t *testing.T) {
	o := Defaults()
	o.VerifyKeys, o.ImageKeys, o.InsecureHTTP, o.PublicURL = []string{"k.pem"}, []string{"i.pem"}, true, "https://ota.example.com"
	again := Options{}
	if err := again.LoadFile(write(t, o.YAML())); err != nil {
		t.Fatalf("load what YAML printed: %v\n%s", err, o.YAML())
	}
	if !reflect.DeepEqual(again, o) {
		t.Errorf("loaded %+v, want %+v", again, o)
	}
}

func TestPrintedOptionsHideThePassword(t *testing.T) {
	o := Defaults()
	o.Database = "postgres://moult:s3cret@db/moult"
	if text := o.YAML(); strings.Contains(text, "s3cret") || !strings.Contains(text, "moult:xxxxx@db") {
		t.Errorf("YAML() = %s, want the password hidden and the rest kept", text)
	}
}

func TestFileRefused(t *testing.T) {
	for name, text := range map[string]string{
		"unknown key":     "listen: 127.0.0.1:1\nlisten-on: x\n",
		"wrong type":      "insecure-http: maybe\n",
		"not a map":       "- listen\n",
		"the key doubled": "data: a\ndata: b\n",
	} {
		o := Defaults()
		if err := o.LoadFile(write(t, text)); err == nil {
			t.Errorf("%s: LoadFile(%q) = nil, want an error", name, text)
		}
	}
	o := Defaults()
	if err := o.LoadFile(filepath.Join(t.TempDir(), "none.yaml")); err == nil {
		t.Error("LoadFile of no file = nil, want an error")
	}
	if err := o.LoadEnv(env(map[string]string{"MOULT_INSECURE_HTTP": "maybe"})); err == nil {
		t.Error("LoadEnv with a bad bool = nil, want an error")
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name string
		set  func(*Options)
		ok   bool
	}{
		{"defaults", func(*Options) {}, true},
		{"plain HTTP for everybody", func(o *Options) { o.Listen = "0.0.0.0:80" }, false},
		{"plain HTTP on no address, which is all", func(o *Options) { o.Listen = ":80" }, false},
		{"plain HTTP on a name", func(o *Options) { o.Listen = "ota.example.com:80" }, false},
		{"plain HTTP for everybody, asked for", func(o *Options) { o.Listen, o.InsecureHTTP = "0.0.0.0:80", true }, true},
		{"self-signed for everybody", func(o *Options) { o.Listen, o.TLS = "0.0.0.0:443", "self-signed" }, true},
		{"certificate for everybody", func(o *Options) { o.Listen, o.TLSCert, o.TLSKey = ":443", "c", "k" }, true},
		{"loopback, IPv6", func(o *Options) { o.Listen = "[::1]:80" }, true},
		{"loopback, by name", func(o *Options) { o.Listen = "localhost:80" }, true},
		{"no port", func(o *Options) { o.Listen = "127.0.0.1" }, false},
		{"certificate without key", func(o *Options) { o.TLSCert = "c" }, false},
		{"two certificates", func(o *Options) { o.TLS, o.TLSCert, o.TLSKey = "self-signed", "c", "k" }, false},
		{"tls misspelt", func(o *Options) { o.TLS = "selfsigned" }, false},
		{"database of another kind", func(o *Options) { o.Database = "mysql://x" }, false},
		{"PostgreSQL", func(o *Options) { o.Database = "postgres://x" }, true},
		{"log level misspelt", func(o *Options) { o.LogLevel = "loud" }, false},
		{"MQTT on loopback", func(o *Options) { o.MQTT, o.MQTTLeaves = "127.0.0.1:1883", "127.0.0.1:1884" }, true},
		{"MQTT for everybody, encrypted", func(o *Options) { o.MQTT, o.TLS = "0.0.0.0:8883", "self-signed" }, true},
		{"plain MQTT for everybody", func(o *Options) { o.MQTT = "0.0.0.0:1883" }, false},
		{"plain leaves for everybody", func(o *Options) { o.MQTT, o.MQTTLeaves = "127.0.0.1:1883", ":1884" }, false},
		{"leaves without a door for devices", func(o *Options) { o.MQTTLeaves = "127.0.0.1:1884" }, false},
		{"two brokers", func(o *Options) { o.MQTT, o.MQTTBroker = "127.0.0.1:1883", "mqtts://b:8883" }, false},
		{"another broker", func(o *Options) { o.MQTTBroker = "mqtts://b:8883" }, true},
		{"another broker without scheme", func(o *Options) { o.MQTTBroker = "b:8883" }, false},
		{"certificate for a broker without its key", func(o *Options) { o.MQTTBroker, o.MQTTCert = "mqtts://b", "c" }, false},
		{"rate in another unit", func(o *Options) { o.MQTTRate = "2MB" }, false},
		{"rate of nothing", func(o *Options) { o.MQTTRate = "0" }, false},
		{"public address without scheme", func(o *Options) { o.PublicURL = "ota.example.com" }, false},
	}
	for _, tt := range tests {
		o := Defaults()
		tt.set(&o)
		err := o.Check()
		if (err == nil) != tt.ok {
			t.Errorf("%s: Check() = %v, want ok %v", tt.name, err, tt.ok)
		}
		if err != nil && !errors.Is(err, ErrOptions) {
			t.Errorf("%s: Check() = %v, want ErrOptions", tt.name, err)
		}
	}
}

func TestOpenMetrics(t *testing.T) {
	tests := []struct {
		listen, public, metrics string
		want                    bool
	}{
		{"127.0.0.1:1", "", "auto", true},
		{"127.0.0.1:1", "https://ota.example.com", "auto", false}, // a proxy is in front
		{"0.0.0.0:1", "", "auto", false},
		{"0.0.0.0:1", "", "open", true},
		{"127.0.0.1:1", "", "token", false},
	}
	for _, tt := range tests {
		o := Options{Listen: tt.listen, PublicURL: tt.public, Metrics: tt.metrics}
		if got := o.openMetrics(); got != tt.want {
			t.Errorf("openMetrics(%+v) = %v, want %v", tt, got, tt.want)
		}
	}
}
