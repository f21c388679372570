package sbl

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/boottest"
	"github.com/moult-ota/moult/internal/boot/register"
	"github.com/moult-ota/moult/internal/slot"
)

// A signer is a key and what verifies with it.
type signer struct {
	artifact.Signer
	artifact.Verifier
}

func newSigner(t *testing.T) signer {
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key))
	s := must[artifact.Signer](t)(artifact.ParsePrivateKey(asPEM("PRIVATE KEY", der)))
	return signer{s, must[artifact.Verifier](t)(artifact.NewVerifier(&key.PublicKey))}
}

// pack makes an artifact for the device type "rig" with one image, changed by f.
func pack(t *testing.T, s artifact.Signer, image string, security uint64, f func(*artifact.Spec)) []byte {
	t.Helper()
	spec := artifact.Spec{
		Name: "new", DeviceTypes: []string{"rig"}, PayloadType: payloadType, Signer: s,
		Provides: artifact.Software{SecurityVersion: &security}.Provides(), Files: []artifact.Source{source("image", image)},
	}
	if f != nil {
		f(&spec)
	}
	var out bytes.Buffer
	if err := artifact.Write(&out, spec); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func source(name, text string) artifact.Source {
	return artifact.Source{Name: name, Size: int64(len(text)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}
}

// A rig is a simulated board: two slots and a register on one power, and a
// server with an artifact.
type rig struct {
	power  *boottest.Power
	slots  [2]*boottest.Disk
	worn   slot.Slot // takes no writes
	flash  *boottest.NOR
	line   *boottest.Disk // counts what comes over the network
	file   []byte
	key    artifact.Verifier
	said   strings.Builder
	floor  uint  // of the loader's options
	denied error // of loading the register
}

// newRig is a board of the factory with slots of size bytes.
func newRig(key artifact.Verifier, size int) *rig {
	r := &rig{slots: [2]*boottest.Disk{boottest.NewDisk(size), boottest.NewDisk(size)}, flash: boottest.NewNOR(8*256, 256), line: boottest.NewDisk(512), key: key}
	return r.clone(1)
}

// clone is the same board in another world.
func (r *rig) clone(seed uint64) *rig {
	c := &rig{power: boottest.NewPower(mrand.New(mrand.NewPCG(seed, 0))), worn: r.worn, file: r.file, key: r.key, denied: r.denied}
	for i := range r.slots {
		c.slots[i] = r.slots[i].Clone(c.power).(*boottest.Disk)
	}
	c.flash, c.line = r.flash.Clone(c.power).(*boottest.NOR), r.line.Clone(c.power).(*boottest.Disk)
	return c
}

var errWorn = errors.New("input/output error")

// wornSlot takes no writes.
type wornSlot struct{ slot.File }

func (wornSlot) WriteAt([]byte, int64) (int, error) { return 0, errWorn }

func (r *rig) open(s slot.Slot) (slot.File, error) {
	if s == r.worn {
		return wornSlot{r.slots[s-1]}, nil
	}
	return r.slots[s-1], nil
}

// env is the register after a reset.
func (r *rig) env() boot.Env {
	e, err := register.Open(r.flash)
	if err != nil {
		panic(err)
	}
	return denying{e, r.denied}
}

type denying struct {
	boot.Env
	err error
}

func (d denying) Load() (boot.Vars, error) {
	v, err := d.Env.Load()
	return v, errors.Join(err, d.err)
}

func (r *rig) vars() boot.Vars {
	v, _ := r.env().Load()
	return v
}

// install puts a signed image into a slot, as an agent does, and returns what
// the register has to say of it.
func (r *rig) install(t *testing.T, s slot.Slot, file []byte) boot.Image {
	t.Helper()
	a := must[*artifact.Reader](t)(artifact.NewReader(bytes.NewReader(file), artifact.ReaderOptions{AllowUnsigned: true}))
	f := must[*artifact.File](t)(a.Next())
	image := must[[]byte](t)(io.ReadAll(f))
	_, security, _, err := a.Header().SecurityVersion()
	d := slot.Descriptor{Length: f.Size, SHA256: sha256.Sum256(image), Security: uint32(security), Artifact: a.Header().Name, Excerpt: a.Signed()}
	w := must[*slot.Writer](t)(slot.NewWriter(r.slots[s-1], f.Size))
	_, werr := w.Write(image)
	if err := errors.Join(err, werr, w.Finish(d)); err != nil {
		t.Fatal(err)
	}
	return boot.ImageOf(d)
}

// boot is what the loader decides after a reset.
func (r *rig) boot() boot.Decision {
	d, _ := boot.Boot(r.env(), boot.CheckSlots(r.open, r.verify))
	return d
}

func (r *rig) verify(d slot.Descriptor) error {
	h, err := artifact.VerifySigned(d.Excerpt, []artifact.Verifier{r.key}, d.SHA256)
	if err != nil {
		return err
	}
	return Options{Floor: r.floor}.signedVersion(h, d.Security)
}

// recover is one recovery by the loader.
func (r *rig) recovery() recovery {
	return recovery{
		env: r.env(), open: r.open, keys: []artifact.Verifier{r.key}, verify: r.verify, deviceType: "rig",
		say:   func(format string, args ...any) { fmt.Fprintf(&r.said, format+"\n", args...) },
		fetch: func(int64) (io.ReadCloser, error) { return &download{r: r}, nil },
	}
}

// A download is the artifact as it comes in pieces, at each of which the power
// can go.
type download struct {
	r   *rig
	off int
}

func (d *download) Read(p []byte) (int, error) {
	if err := d.r.line.Sync(); err != nil {
		return 0, err
	}
	n := copy(p[:min(len(p), 1+len(d.r.file)/6)], d.r.file[d.off:])
	if d.off += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (d *download) Close() error { return nil }

// holds reports whether a slot begins with an image.
func (r *rig) holds(s slot.Slot, image string) bool {
	if !s.Valid() {
		return false
	}
	p := make([]byte, len(image))
	_, err := r.slots[s-1].ReadAt(p, 0)
	return err == nil && string(p) == image
}

// bytes is all that is in a slot.
func (r *rig) bytes(s slot.Slot) []byte {
	n, _ := r.slots[s-1].Size()
	p := make([]byte, n)
	_, _ = r.slots[s-1].ReadAt(p, 0)
	return p
}
