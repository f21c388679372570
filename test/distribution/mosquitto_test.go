package distribution_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/broker/brokertest"
	external "github.com/moult-ota/moult/internal/broker/mqtt"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/mqttlink"
	"github.com/moult-ota/moult/internal/server"
	"github.com/moult-ota/moult/internal/server/servertest"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// TestLifeOverMosquitto: Debian's broker, set up as `moult server broker
// config mosquitto` says, between a server and a device with certificates.
func TestLifeOverMosquitto(t *testing.T) {
	t.Parallel()
	a := brokertest.NewAuthority(t)
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // it runs as another user
		must(t, os.Chmod(d, 0o755))
	}
	a.Write(dir, "broker")
	a.Write(dir, "moult-server")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr := l.Addr().String()
	m := external.Mosquitto{Port: l.Addr().(*net.TCPAddr).Port, Folder: dir, Server: "moult-server"}
	l.Close()
	must(t, os.WriteFile(filepath.Join(dir, "mosquitto.conf"), []byte(m.Config()), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "acl"), []byte(m.ACL()), 0o644))
	p := exec.Command("/usr/sbin/mosquitto", "-c", filepath.Join(dir, "mosquitto.conf"))
	must(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	w := servertest.Start(t, func(o *server.Options) {
		o.MQTTBroker, o.MQTTCA = "mqtts://"+addr, filepath.Join(dir, "ca.pem")
		o.MQTTCert, o.MQTTKey = filepath.Join(dir, "moult-server.pem"), filepath.Join(dir, "moult-server.key")
	})
	public, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	spki, err := x509.MarshalPKIXPublicKey(public)
	must(t, err)
	certificate := tls.Certificate{Certificate: [][]byte{a.Sign(securemsg.NewDeviceID(spki).String(), public)}, PrivateKey: key}
	d := newLink(t, addr, "a", func(o *mqttlink.Options) {
		o.Servers, o.Key, o.TLS = []string{"mqtts://" + addr}, key, &tls.Config{RootCAs: a.Pool, Certificates: []tls.Certificate{certificate}}
	})
	if err := d.Authenticate(t.Context()); !errors.Is(err, link.ErrUnauthorized) {
		t.Fatalf("Authenticate of a stranger = %v, want %v", err, link.ErrUnauthorized)
	}
	must(t, w.SetDeviceStatus(t.Context(), w.ID("a"), client.NewStatus{Status: "accepted"}, client.SetDeviceStatusParams{}))
	must(t, d.Authenticate(t.Context()))
	file := servertest.Artifact(t, "r2", "x", noise(300<<10))
	_, err = w.UploadArtifact(t.Context(), bytes.NewReader(file), client.UploadArtifactParams{})
	must(t, err)
	_, err = w.CreateDeployment(t.Context(), client.NewDeployment{Release: "r2", Target: client.Target{All: true}}, client.CreateDeploymentParams{})
	must(t, err)
	o, err := d.Next(t.Context(), fromRelease("r1"))
	must(t, err)
	if got := download(t, d, o.URI, 0); !bytes.Equal(got, file) {
		t.Errorf("download = %d bytes, want %d", len(got), len(file))
	}
}
