package mqtt

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/moult-ota/moult/internal/broker/brokertest"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// mosquitto starts Debian's broker with our configuration, and returns its
// address. extra is added to the access rules.
func mosquitto(t *testing.T, a *brokertest.Authority, extra string) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // it runs as another user
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a.Write(dir, "broker")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := Mosquitto{Port: l.Addr().(*net.TCPAddr).Port, Folder: dir, Server: "moult-server", Gateways: []string{"gateway-a", "gateway-m"}}
	l.Close()
	for name, text := range map[string]string{"mosquitto.conf": m.Config(), "acl": m.ACL() + extra} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := exec.Command("/usr/sbin/mosquitto", "-c", filepath.Join(dir, "mosquitto.conf"))
	p.Stderr = os.Stderr
	if err := p.Start(); err != nil {
		t.Fatalf("start mosquitto: %v", err)
	}
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	addr := fmt.Sprintf("127.0.0.1:%d", m.Port)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return addr
		}
		if time.Now().After(end) {
			t.Fatalf("mosquitto does not listen: %v", err)
		}
	}
}

// TestMosquitto runs the suite on Debian's broker, set up as we say.
func TestMosquitto(t *testing.T) {
	a := brokertest.NewAuthority(t)
	addr := mosquitto(t, a, "\nuser spy\ntopic readwrite moult/#\n")
	dial := func(name string) *Broker {
		b, err := Dial(t.Context(), Options{URL: "mqtts://" + addr, ClientID: name, TLS: a.Config(name)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	}
	brokertest.Run(t, brokertest.World{
		Broker: dial("moult-server"), Spy: dial("spy"),
		Client: func(id string) *paho.ClientOptions {
			o := paho.NewClientOptions().AddBroker("ssl://" + addr).SetClientID(id).SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(10 * time.Second)
			c := a.Config(id)
			if _, err := brokertest.Role(id); err != nil { // no certificate of the authority
				c.Certificates = []tls.Certificate{brokertest.NewAuthority(t).Issue(id)}
			}
			return o.SetTLSConfig(c)
		},
		Nobody: func() *paho.ClientOptions {
			return paho.NewClientOptions().AddBroker("ssl://" + addr).SetClientID("device-e").SetProtocolVersion(4).SetAutoReconnect(false).
				SetTLSConfig(&tls.Config{RootCAs: a.Pool})
		},
		// Every certificate is a device's; the server tells who is accepted.
		Grant: func(id string) topic.Grant {
			r, _ := brokertest.Role(id)
			return topic.GrantOf(max(r, topic.Device), id)
		},
	})
}

// TestLyingBroker: a broker that announces a packet of 256 MB is left.
func TestLyingBroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Read(make([]byte, 1024))
		_, _ = c.Write([]byte{0x20, 2, 0, 0, 0x30, 0xff, 0xff, 0xff, 0x7f}) // 256 MB
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err = c.Read(make([]byte, 1))
		ended <- err
	}()
	b, err := Dial(t.Context(), Options{URL: "mqtt://" + l.Addr().String(), ClientID: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := <-ended; err == nil || os.IsTimeout(err) {
		t.Errorf("the client waits for 256 MB: %v", err)
	}
}
