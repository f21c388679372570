package dfu

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/moult-ota/moult/internal/child"
	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// A host is the other end of a device in DFU mode, which it has claimed.
type host struct {
	Transport
	number uint8
	busy   time.Duration
}

// A Fault is what a device in dfuERROR says.
type Fault struct {
	Act  string
	Code wire.Code
}

func (f *Fault) Error() string { return fmt.Sprintf("%s: the device says %v", f.Act, f.Code) }

// Unwrap is child.ErrRefused for what would be refused again.
func (f *Fault) Unwrap() error {
	switch f.Code {
	case wire.ErrTarget, wire.ErrFile, wire.ErrAddress, wire.ErrFirmware:
		return child.ErrRefused
	}
	return nil
}

func (h *host) out(request wire.Request, value uint16, data []byte) error {
	_, err := h.Control(wire.TypeOut, uint8(request), value, uint16(h.number), data)
	return err
}

func (h *host) status() (s wire.Status, err error) {
	p := make([]byte, wire.StatusSize)
	n, err := h.Control(wire.TypeIn, uint8(wire.GetStatus), 0, uint16(h.number), p)
	if err != nil {
		return s, away("ask for status", err)
	}
	s, _, err = wire.ParseStatus(p[:n])
	return s, err
}

// rest waits as long as a status asks for, not beyond the end.
func rest(ctx context.Context, s wire.Status, end time.Time) error {
	d := max(time.Duration(s.Poll)*time.Millisecond, time.Millisecond)
	return wait(ctx, min(d, max(time.Until(end), time.Millisecond)))
}

// idle brings the device to dfuIDLE, whatever it was left in.
func (h *host) idle(ctx context.Context) error {
	for end := time.Now().Add(h.busy); time.Now().Before(end); {
		s, err := h.status()
		if err != nil {
			return err
		}
		switch s.State {
		case wire.Idle:
			return nil
		case wire.Error:
			err = h.out(wire.ClearStatus, 0, nil)
		case wire.DownloadSync, wire.DownloadIdle, wire.ManifestSync, wire.UploadIdle:
			err = h.out(wire.Abort, 0, nil)
		case wire.DownloadBusy, wire.Manifest:
			err = rest(ctx, s, end)
		default:
			return fmt.Errorf("device is in %v, and takes no download", s.State)
		}
		if err != nil && !errors.Is(err, syscall.EPIPE) {
			return away("prepare for download", err)
		}
	}
	return fmt.Errorf("%w: it does not get to dfuIDLE in %v", child.ErrAway, h.busy)
}

// block sends one and waits for it to be written.
func (h *host) block(ctx context.Context, act string, number uint16, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := h.send(act, number, data); err != nil {
		return err
	}
	for end := time.Now().Add(h.busy); time.Now().Before(end); {
		s, err := h.status()
		if err != nil {
			return fmt.Errorf("%s: %w", act, err)
		}
		switch s.State {
		case wire.DownloadIdle:
			return nil
		case wire.DownloadSync, wire.DownloadBusy:
			err = rest(ctx, s, end)
		default:
			err = h.fault(act, s)
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w: it is busy for more than %v", act, child.ErrAway, h.busy)
}

// send sends one block. A stall has its reason in the status.
func (h *host) send(act string, number uint16, data []byte) error {
	err := h.out(wire.Download, number, data)
	if !errors.Is(err, syscall.EPIPE) {
		return away(act, err)
	}
	s, err := h.status()
	if err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	return h.fault(act, s)
}

// fault makes an error of a status, and leaves dfuERROR.
func (h *host) fault(act string, s wire.Status) error {
	if s.State != wire.Error {
		return fmt.Errorf("%s: device is in %v, with %v", act, s.State, s.Code)
	}
	f := &Fault{act, s.Code}
	if err := h.out(wire.ClearStatus, 0, nil); err != nil {
		return errors.Join(f, away("clear status", err))
	}
	return f
}

// manifest ends a download. left reports whether the device left the bus,
// which is as it should be when it does not answer any more: it has all of it.
func (h *host) manifest(ctx context.Context, number uint16, left func() bool) error {
	const act = "end download"
	if err := h.send(act, number, nil); err != nil {
		return err
	}
	for end := time.Now().Add(h.busy); time.Now().Before(end); {
		s, err := h.status()
		switch {
		case errors.Is(err, child.ErrAway) && left():
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", act, err)
		case s.State == wire.Idle:
			return nil
		case s.State == wire.ManifestWaitReset:
			_ = h.Reset() // it may go by itself meanwhile
			return nil
		case s.State == wire.ManifestSync, s.State == wire.Manifest, s.State == wire.DownloadSync, s.State == wire.DownloadBusy:
			err = rest(ctx, s, end)
		default:
			err = h.fault(act, s)
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w: it takes more than %v", act, child.ErrAway, h.busy)
}
