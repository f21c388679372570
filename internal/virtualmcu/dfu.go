package virtualmcu

import (
	"time"
)

// States of DFU 1.1 §6.1.2.
const (
	appIDLE = iota
	appDETACH
	dfuIDLE
	dfuDNLOADSync
	dfuDNBUSY
	dfuDNLOADIdle
	dfuMANIFESTSync
	dfuMANIFEST
	dfuMANIFESTWaitReset
	dfuUPLOADIdle
	dfuERROR
)

// Statuses that are used.
const (
	statusOK      = 0
	errWRITE      = 3
	errERASE      = 4
	errADDRESS    = 8
	errVENDOR     = 0x0b
	errUNKNOWN    = 0x0e
	errSTALLEDPKT = 0x0f
)

// Requests.
const (
	reqDetach = iota
	reqDownload
	reqUpload
	reqGetStatus
	reqClearStatus
	reqGetState
	reqAbort
)

// pollTime is what both stacks ask a host to wait for, in milliseconds.
const pollTime = 8

// A dfu is the state of the class; in RAM.
type dfu struct {
	state, status byte
	alt           byte
	chosen        bool // alt was set by the host
	writer        writer
	block         uint16 // the last one, StackNext
	read          int    // bytes that were uploaded
}

func (u *USB) class(requestType, request uint8, value, index uint16, data []byte) (int, error) {
	if !u.hasDFU() || index != 0 {
		return 0, ErrStall
	}
	in := requestType&0x80 != 0
	switch {
	case request == reqGetState && in:
		return copy(data, []byte{u.dfu.state}), nil
	case request == reqGetStatus && in:
		return copy(data, u.getStatus()), nil
	case request == reqDetach && !in:
		return 0, u.detach()
	case !u.dfuMode:
		u.dfu.state = appIDLE
		return 0, ErrStall
	case request == reqDownload && !in:
		return 0, u.download(value, data)
	case request == reqUpload && in:
		return u.upload(value, data)
	case request == reqClearStatus && !in:
		u.dfu.state, u.dfu.status = dfuIDLE, statusOK
		return 0, nil
	case request == reqAbort && !in:
		return 0, u.abort()
	}
	return 0, u.stall(errSTALLEDPKT)
}

// stall goes into the error state.
func (u *USB) stall(status byte) error {
	u.dfu.state, u.dfu.status = dfuERROR, status
	return ErrStall
}

func (u *USB) abort() error {
	if u.d.opts.Stack == StackNext && u.dfu.state == dfuERROR {
		return ErrStall
	}
	u.dfu = dfu{state: dfuIDLE, alt: u.dfu.alt, chosen: u.dfu.chosen, writer: writer{slots: u.d.loader.Slots, slot: 1}}
	return nil
}

// detach leaves the bus and comes back in DFU mode.
func (u *USB) detach() error {
	if u.dfuMode || u.dfu.state != appIDLE {
		if !u.dfuMode {
			u.dfu.state = appIDLE
		}
		return ErrStall
	}
	u.dfu.state = appDETACH
	if u.d.opts.HostDetach && u.d.opts.Stack == StackLegacy {
		return nil // until BusReset
	}
	u.d.later(u.d.opts.Detach, func() {
		u.unplug()
		u.d.later(u.d.opts.Detach, func() { u.plug(true) })
	})
	return nil
}

// getStatus answers, and moves on from the states that wait for the question.
// The new stack tells the state that it was in, the legacy one that it is in
// now.
func (u *USB) getStatus() []byte {
	before := u.dfu.state
	switch before {
	case dfuDNLOADSync:
		u.dfu.state = dfuDNLOADIdle
	case dfuMANIFESTSync:
		u.manifested()
	}
	told := u.dfu.state
	if u.d.opts.Stack == StackNext && before != dfuERROR {
		told = before
	}
	return []byte{u.dfu.status, pollTime, 0, 0, told, 0}
}

// manifested ends a download: the image is in its slot.
func (u *USB) manifested() {
	u.dfu.state = dfuIDLE
	d := u.d
	if d.opts.Stack == StackNext && !d.opts.NoRequest {
		if err := d.loader.SetPending(false); err != nil {
			d.opts.Log("%v", err)
			return
		}
	}
	d.opts.Log("image came over DFU")
	if d.opts.NoReboot {
		return
	}
	if d.opts.Stack == StackLegacy {
		u.dfu.state = dfuMANIFESTWaitReset
	}
	d.later(max(d.opts.Times.Reset, time.Nanosecond), d.start) // the answer goes first
}
