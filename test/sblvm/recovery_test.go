//go:build vm

package sblvm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/sbl/sbltest"
	"github.com/moult-ota/moult/internal/slot"
)

// newKey returns what signs, and the public key in PEM.
func newKey(t *testing.T) (artifact.Signer, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ok(t, err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	ok(t, err)
	s, err := artifact.ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	ok(t, err)
	return s, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
}

func pack(t *testing.T, s artifact.Signer, name string, image []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	ok(t, artifact.Write(&out, artifact.Spec{Name: name, DeviceTypes: []string{"vm"}, PayloadType: "rootfs-image", Signer: s, Compression: artifact.ZstdFast,
		Files: []artifact.Source{{Name: "image", Size: int64(len(image)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(image)), nil }}}}))
	return out.Bytes()
}

// A shelf is a web server with one file, which may be another later.
type shelf struct {
	*httptest.Server
	mu    sync.Mutex
	file  []byte
	trips int      // more answers that break off after 1 MiB
	asked []string // path and range
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *shelf) put(file []byte, trips int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file, s.trips, s.asked = file, trips, nil
}

// requests are the requests since put.
func (s *shelf) requests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.asked, "\n")
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	file, trip := s.file, s.trips > 0
	s.asked = append(s.asked, r.URL.Path+" "+r.Header.Get("Range"))
	s.trips--
	s.mu.Unlock()
	switch {
	case file == nil:
		http.NotFound(w, r)
	case trip:
		w.Header().Set("Content-Length", fmt.Sprint(len(file)))
		_, _ = w.Write(file[:mib])
		panic(http.ErrAbortHandler)
	default:
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
	}
}

// bootInitrd makes the initrd of the boot kernel.
func (p parts) bootInitrd(t *testing.T, key, conf string, modules ...string) string {
	t.Helper()
	path := t.TempDir() + "/boot.img"
	files{
		"init": p.sbl, "bin/sh": p.busybox, "bin/busybox": p.busybox, "etc/moult/release.pub": key,
		"etc/moult/sbl.conf": "disk /dev/vda\nverify-keys /etc/moult/release.pub\nappend console=ttyS0 quiet ro panic=1\npause 2s\n" + conf,
		"bin/net-up":         netUp, "bin/leased": leased,
		"lib/modules/14-watchdog.ko.params": "stop_on_reboot=0\n",
	}.with(t, p, modules...).initrd(t, p, path)
	return path
}

// netUp and leased ask a DHCP server, as an integrator's own may.
const netUp = `#!/bin/sh
/bin/busybox ip link set $1 up
exec /bin/busybox udhcpc -q -n -i $1 -s /bin/leased
`

const leased = `#!/bin/sh
[ "$1" = bound ] || exit 0
/bin/busybox ip address add $ip/$mask dev $interface
/bin/busybox ip route add default via $router
echo "sblvm: leased $ip"
`

// TestRecovery is a board whose slots are empty, and then spoilt.
func TestRecovery(t *testing.T) {
	p, shelf := gather(t), newShelf(t)
	ours, key := newKey(t)
	theirs, _ := newKey(t)
	disk, err := sbltest.Make(t.TempDir()+"/disk", slotSize, mib)
	ok(t, err)
	ok(t, disk.Register(boot.Vars{}))
	url := strings.Replace(shelf.URL, "127.0.0.1", "10.0.2.2", 1)
	conf := "recover " + url + "/{device_type}/{mac}\ndevice-type vm\n"
	m := &machine{T: t, p: p, disk: disk.Path}
	m.initrd = p.bootInitrd(t, key, conf+"address 10.0.2.15/24 gateway 10.0.2.2\n", append(disks, cards...)...)
	image := p.image(t, started("v1"))

	m.on()
	m.waits("decision     idle")
	m.waits("nothing to start; asking " + url + "/vm/52:54:00:12:34:56")
	m.waits("the server says 404 Not Found")
	shelf.put(pack(t, theirs, "v0", image), 0)
	m.waits("none of 1 keys verifies it")
	shelf.put(pack(t, ours, "v1", image), 2)
	m.waits("v1, security version 0, is signed; writing it into slot A")
	m.waits("bytes so far, once more in 1s")
	m.waits("slot A holds v1, 25165824 bytes, and is current")
	m.waits("sblvm: v1 is up")
	m.waits("moult.slot=A")
	if got := shelf.requests(); !strings.Contains(got, "bytes=") {
		t.Errorf("after a broken link it asked for\n%s", got)
	}

	m.off()
	ok(t, disk.Flip("a", mib))
	shelf.put(pack(t, ours, "v2", p.image(t, started("v2"))), 0)
	m.initrd = p.bootInitrd(t, key, conf+"net-up /bin/net-up\n", append(disks, cards...)...)
	m.on()
	m.waits("decision     recover: A is unfit")
	m.waits("sblvm: leased 10.0.2.15")
	m.waits("slot B holds v2")
	m.waits("sblvm: v2 is up")
	m.waits("moult.slot=B")
	m.never("v0 is up")
}

// TestWatchdog is a trial that hangs without a panic: the watchdog that the
// loader armed brings the board back, as often as there are tries.
func TestWatchdog(t *testing.T) {
	p := gather(t)
	ours, key := newKey(t)
	disk, err := sbltest.Make(t.TempDir()+"/disk", slotSize, mib)
	ok(t, err)
	install := func(part, name string, image []byte) boot.Image {
		a, err := artifact.NewReader(bytes.NewReader(pack(t, ours, name, image)), artifact.ReaderOptions{AllowUnsigned: true})
		ok(t, err)
		im, err := disk.Install(part, image, slot.Descriptor{Artifact: name, Excerpt: a.Signed()})
		ok(t, err)
		return im
	}
	good := install("a", "good", p.image(t, started("good"), dogs...))
	v, err := boot.Request(boot.First(slot.A, good, 0), slot.B, install("b", "hangs", p.image(t, hangs)), 2)
	ok(t, err)
	ok(t, disk.Register(v))
	m := &machine{T: t, p: p, disk: disk.Path, args: []string{"-device", "i6300esb", "-action", "watchdog=reset"}}
	m.initrd = p.bootInitrd(t, key, "watchdog-time 45s\n", append(append(disks, cards...), dogs...)...)
	m.on()
	for range 2 {
		m.waits("watchdog bites in 45s")
		m.waits("jumping to slot B")
		m.waits("sblvm: this image hangs")
		began := time.Now()
		m.waits("moult-sbl: starting")
		t.Logf("back after %v", time.Since(began).Round(time.Second))
	}
	m.waits("B used up its tries; A is current")
	m.waits("sblvm: good is up")
	fed := time.Now()
	for time.Since(fed) < 60*time.Second { // fed, it does not bite
		time.Sleep(time.Second)
		if m.pass("moult-sbl: starting") {
			t.Fatalf("a board that feeds its watchdog came back after %v", time.Since(fed))
		}
	}
}
