package gateway

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/frontendtest"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/menderdevice"
	"github.com/moult-ota/moult/internal/server/servertest"
)

// listen makes the gateway serve the LAN over TLS, and returns its address and
// who trusts it.
func (s *site) listen() (string, *http.Client) {
	s.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "g1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		s.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.file["listen"], s.file["listen_certificate"], s.file["listen_key"] = address, filepath.Join(s.dir, "lan.crt"), filepath.Join(s.dir, "lan.key")
	s.put(filepath.Join(s.dir, "lan.crt"), certificate)
	s.put(filepath.Join(s.dir, "lan.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	return "https://" + address, &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

// TestLAN: devices of the LAN beside children, with the server away for a
// while; in the end it knows what is so.
func TestLAN(t *testing.T) {
	s := newSite(t)
	base, trusting := s.listen()
	s.file["children"] = []any{}
	s.board("c1", map[string]any{})
	s.run()
	child := s.device("c1").ID
	var lan []*menderdevice.Device
	var ids []string
	for _, mac := range []string{"02:00:00:00:00:01", "02:00:00:00:00:02"} {
		d := menderdevice.New(t, base, device.Identity(`{"mac":"`+mac+`"}`))
		d.Client = trusting
		if err := d.Enroll(t.Context()); !errors.Is(err, fleet.ErrUnauthorized) {
			t.Fatalf("Enroll of a new device = %v", err)
		}
		id := s.ID(mac)
		if err := s.SetDeviceStatus(t.Context(), id, client.NewStatus{Status: "accepted"}, client.SetDeviceStatusParams{}); err != nil {
			t.Fatal(err)
		}
		if err := d.Enroll(t.Context()); err != nil {
			t.Fatal(err)
		}
		lan, ids = append(lan, d), append(ids, id)
	}
	d := s.deploy("fw-2", "board", next)
	if states, detail := s.path(d, child); states != good {
		t.Errorf("the child: %q (%s)", states, detail)
	}
	file := servertest.Artifact(t, "lan-2", "box", bytes.Repeat([]byte("x"), 100<<10))
	if _, err := s.UploadArtifact(t.Context(), bytes.NewReader(file), client.UploadArtifactParams{}); err != nil {
		t.Fatal(err)
	}
	to, err := s.CreateDeployment(t.Context(), client.NewDeployment{Release: "lan-2", Target: client.Target{Devices: ids}}, client.CreateDeploymentParams{})
	if err != nil {
		t.Fatal(err)
	}
	report := fleet.Report{Type: "box", Provides: map[string]string{"artifact_name": "lan-1"}}
	var offers []frontendtest.Offer
	for _, dev := range lan {
		o, err := dev.CheckIn(t.Context(), report)
		if err != nil || string(o.Deployment) != to.ID {
			t.Fatalf("CheckIn = %+v, %v", o, err)
		}
		offers = append(offers, o)
	}
	if got, err := lan[0].Download(t.Context(), offers[0], 0); err != nil || !bytes.Equal(got, file) {
		t.Errorf("Download = %d bytes, %v", len(got), err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if got, err := lan[1].Download(t.Context(), offers[1], 0); err != nil || !bytes.Equal(got, file) {
		t.Errorf("Download without a server = %d bytes, %v", len(got), err)
	}
	for n, last := range []deployment.State{deployment.Done, deployment.RolledBack} {
		for _, state := range []deployment.State{deployment.Downloading, deployment.Installing, deployment.Rebooting, deployment.Trying, last} {
			if err := lan[n].Progress(t.Context(), fleet.Progress{Deployment: deployment.ID(to.ID), State: state}); err != nil {
				t.Errorf("Progress(%s) without a server = %v", state, err)
			}
		}
	}
	s.Options.Listen = s.Server[len("http://"):]
	s.World.Run()
	for n, want := range []string{"done", "rolled-back"} {
		states, _ := s.path(to.ID, ids[n])
		if states != "offered downloading installing rebooting trying "+want {
			t.Errorf("LAN device %d: %q", n+1, states)
		}
	}
}
