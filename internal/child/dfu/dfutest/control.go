package dfutest

import (
	"syscall"
	"time"

	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// Standard requests, USB 2.0 §9.4.
const (
	getDescriptor    = 6
	setConfiguration = 9
	setInterface     = 11
)

// Control is a Gadget's.
func (d *Device) Control(requestType, request uint8, value, index uint16, data []byte) (int, error) {
	if requestType&0x60 == 0 {
		return d.standard(requestType, request, value, data)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.detached {
		return 0, syscall.ENODEV
	}
	if d.requests++; d.StuckAt > 0 && d.requests >= d.StuckAt {
		return 0, syscall.ETIMEDOUT
	}
	return d.class(wire.Request(request), value, data)
}

func (d *Device) standard(requestType, request uint8, value uint16, data []byte) (int, error) {
	device, config, strings := d.Descriptors()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.detached:
		return 0, syscall.ENODEV
	case request == getDescriptor && value>>8 == 1:
		return copy(data, device), nil
	case request == getDescriptor && value>>8 == 2 && value&255 == 0:
		return copy(data, config), nil
	case request == getDescriptor && value == 0x300:
		return copy(data, []byte{4, 3, 0x09, 0x04}), nil
	case request == getDescriptor && value>>8 == 3 && strings[uint8(value)] != "":
		return copy(data, stringDescriptor(strings[uint8(value)])), nil
	case request == setInterface && d.dfuMode && int(value) < len(d.Alts):
		d.alt = uint8(value)
		return 0, nil
	case request == setConfiguration, request == setInterface && value == 0:
		return 0, nil
	case requestType&0x80 != 0 && request == 0: // GET_STATUS
		return copy(data, []byte{0, 0}), nil
	}
	return 0, syscall.EPIPE
}

func (d *Device) class(request wire.Request, value uint16, data []byte) (int, error) {
	switch {
	case request == wire.GetStatus:
		return d.getStatus(data)
	case request == wire.GetState:
		return copy(data, []byte{byte(d.state)}), nil
	case request == wire.Detach && !d.dfuMode && !d.NoDFU:
		d.state = wire.AppDetach
		if d.Functional.Has(wire.WillDetach) {
			d.start(true)
		}
		return 0, nil
	case !d.dfuMode:
		return 0, syscall.EPIPE
	case request == wire.ClearStatus && d.state == wire.Error:
		d.state, d.code = wire.Idle, wire.OK
		return 0, nil
	case request == wire.Abort && (d.state == wire.Idle || d.state == wire.DownloadIdle || d.state == wire.DownloadSync):
		d.state = wire.Idle
		return 0, nil
	case request == wire.Download:
		return 0, d.download(value, data)
	}
	return 0, d.stall(wire.ErrStalled)
}

func (d *Device) stall(code wire.Code) error {
	d.state, d.code = wire.Error, code
	return syscall.EPIPE
}

func (d *Device) download(block uint16, data []byte) error {
	d.downloads++
	switch {
	case d.downloads == d.GoneAt:
		d.detached = true
		return syscall.ENODEV
	case d.downloads == d.StallAt, d.state != wire.Idle && d.state != wire.DownloadIdle, len(data) > int(d.Functional.TransferSize):
		return d.stall(wire.ErrStalled)
	case d.Functional.Version == wire.VersionSe:
		return d.downloadSe(block, data)
	case len(data) == 0 && d.state == wire.Idle:
		return d.stall(wire.ErrNotDone)
	case len(data) == 0:
		d.state = wire.ManifestSync
		return nil
	}
	if d.state == wire.Idle {
		d.image, d.blocks, d.busy = nil, nil, time.Now().Add(d.Erase)
	}
	d.image, d.blocks = append(d.image, data...), append(d.blocks, block)
	d.state = wire.DownloadSync
	return nil
}

// getStatus moves on from the states that wait for the question.
func (d *Device) getStatus(data []byte) (int, error) {
	switch {
	case d.state == wire.DownloadSync && d.downloads == d.FailAt:
		d.state, d.code = wire.Error, d.FailCode
	case (d.state == wire.DownloadSync || d.state == wire.DownloadBusy) && time.Now().Before(d.busy):
		d.state = wire.DownloadBusy
	case d.state == wire.DownloadSync, d.state == wire.DownloadBusy:
		d.state = wire.DownloadIdle
	case d.state == wire.ManifestSync && d.Leaves:
		d.start(false)
		return 0, syscall.ENODEV
	case d.state == wire.ManifestSync:
		d.state = wire.Manifest
	case d.state == wire.Manifest && d.Functional.Has(wire.ManifestationTolerant):
		d.state = wire.Idle
	case d.state == wire.Manifest:
		d.state = wire.ManifestWaitReset
	}
	return copy(data, wire.AppendStatus(nil, wire.Status{Code: d.code, Poll: d.Poll, State: d.state})), nil
}
