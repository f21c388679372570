package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/register"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/install/rootfs"
	"github.com/moult-ota/moult/internal/slot"
	"github.com/moult-ota/moult/internal/update"
)

// errProvisioned: only a device that never had an image is provisioned.
var errProvisioned = errors.New("the boot register names an image already; moult-agent install updates it")

// provision is what a factory does: the first image goes into slot A of a
// device whose boot register is blank, and is current at once. The artifact
// must pass every check that an update must.
func (p *program) provision(context.Context) (int, error) {
	if len(p.args) != 1 {
		return 0, fmt.Errorf("%w: provision takes one artifact file", errUsage)
	}
	c := p.config
	if slots, err := c.hasSlots(); err != nil || !slots || c.DeviceType == "" {
		return 0, errors.Join(fmt.Errorf("%w: provision needs slot-a, slot-b, device-type and register or boot", errUsage), err)
	}
	keys, err := c.verifiers()
	if err != nil {
		return 0, err
	}
	if err := p.blankRegister(); err != nil {
		return 0, err
	}
	l, err := c.loader()
	if err != nil {
		return 0, err
	}
	env, shared, err := l.open(c)
	if err != nil {
		return 0, err
	}
	defer shared.Close()
	d, err := l.first(env, c, keys, p.args[0])
	if err != nil {
		return 0, fmt.Errorf("provision: %w", err)
	}
	fmt.Fprintf(p.stdout, "slot A holds %s, %d bytes, and is current; security floor %d\n", d.Artifact, d.Length, d.Security)
	return exitOK, nil
}

// openOrCreate makes a file when there is none; a partition it does not make,
// since a file in /dev is gone after the next boot.
func openOrCreate(path string) (*register.Disk, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(path, "/dev/") {
		return register.Create(path)
	}
	return register.File(path)
}

// first writes the first image, and then the register's first entry.
func (l loader) first(env boot.Env, c *Config, keys []artifact.Verifier, path string) (slot.Descriptor, error) {
	var d slot.Descriptor
	if v, err := env.Load(); err != nil || v.Current != slot.None {
		return d, errors.Join(err, errProvisioned)
	}
	f, err := os.Open(path)
	if err != nil {
		return d, err
	}
	defer f.Close()
	r, err := artifact.NewReader(f, artifact.ReaderOptions{Keys: keys, Limits: limits})
	if err != nil {
		return d, refusedIfRule(err)
	}
	defer r.Close()
	gate := update.Gate{DeviceType: c.DeviceType}
	s, err := gate.Admit(r.Header(), r.Header().PayloadType == payloadType)
	if err != nil {
		return d, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if d, err = l.flash(c, r, s.Floor); err != nil {
		return d, refusedIfRule(err)
	}
	return d, env.Save(boot.First(slot.A, boot.ImageOf(d), s.Floor))
}

// flash writes the artifact's only file into slot A, and describes it.
func (l loader) flash(c *Config, r *artifact.Reader, security uint32) (d slot.Descriptor, err error) {
	if typ := r.Header().PayloadType; typ != payloadType {
		return d, fmt.Errorf("%w: a first image is a %s, this is a %s", ErrRefused, payloadType, typ)
	}
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return d, fmt.Errorf("make state folder: %w", err)
	}
	f, err := l.slot(c, slot.A)
	if err != nil {
		return d, err
	}
	defer f.Close()
	p := install.Payload{Header: r.Header(), Security: security, Signed: r.Signed(), Next: r.Next}
	return rootfs.Place(f, p, c.DeviceType, nil)
}

// refusedIfRule marks an error of the artifact, not of the device.
func refusedIfRule(err error) error {
	if rule := new(artifact.RuleError); errors.As(err, &rule) || errors.Is(err, artifact.ErrNoKey) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}
