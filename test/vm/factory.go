package main

import (
	"os"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/sbl/sbltest"
	"github.com/moult-ota/moult/internal/slot"
)

const mib = 1 << 20

// factory makes a disk as it leaves the factory: a release in slot A, made
// current, and an empty file system for data.
func (d *desk) factory(p parts, r release) (*sbltest.Disk, error) {
	if err := d.pack(p, r); err != nil {
		return nil, err
	}
	f, err := os.Open(d.path(r.name + ".mender"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	signed, err := artifact.NewReader(f, artifact.ReaderOptions{AllowUnsigned: true})
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.path("empty"), 0o755); err != nil {
		return nil, err
	}
	if err := ext4(d.path("data.ext4"), dataSize, d.path("empty")); err != nil {
		return nil, err
	}
	disk, err := sbltest.Make(d.path("disk"), slotSize*mib, dataSize*mib)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(d.path("data.ext4"))
	if err != nil {
		return nil, err
	}
	if err := disk.Fill("data", data); err != nil {
		return nil, err
	}
	image, err := os.ReadFile(d.path(r.name + ".ext4"))
	if err != nil {
		return nil, err
	}
	im, err := disk.Install("a", image, slot.Descriptor{Artifact: r.name, DeviceType: "vm", Excerpt: signed.Signed()})
	if err != nil {
		return nil, err
	}
	return disk, disk.Register(boot.First(slot.A, im, 0))
}
