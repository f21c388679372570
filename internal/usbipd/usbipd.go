// Package usbipd carries a USB device over USB/IP, so that Linux has it like
// one that is plugged in: it answers the requests of vhci_hcd. Only endpoint 0
// is carried, which is all that DFU has.
package usbipd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/moult-ota/moult/internal/wire/usbip"
)

// A Device is what is carried. Its errors are, or wrap, Linux's: EPIPE is a
// stall; ENODEV ends the connection; ETIMEDOUT is a request that is never
// answered.
type Device interface {
	Control(requestType, request uint8, value, index uint16, data []byte) (n int, err error)
}

// A Resetter hears of resets of its port. USB/IP does not carry them: one is
// seen as the configuration that is set again after it.
type Resetter interface {
	BusReset() error
}

// setConfiguration is USB 2.0 §9.4.7.
const setConfiguration = 9

// maxWaiting bounds the requests that wait for an answer that never comes.
const maxWaiting = 64

// Serve answers what comes on a connection until that ends, or the device
// leaves; then it is nil.
func Serve(conn io.ReadWriter, d Device) error {
	s := session{conn: conn, d: d, waiting: map[uint32]bool{}}
	for {
		err := s.next()
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ENODEV) || errors.Is(err, io.ErrClosedPipe) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve USB/IP: %w", err)
		}
	}
}

// A session is one attachment.
type session struct {
	conn       io.ReadWriter
	d          Device
	configured bool
	waiting    map[uint32]bool // requests that are not answered
}

func (s *session) next() error {
	head := make([]byte, usbip.HeaderSize)
	if _, err := io.ReadFull(s.conn, head); err != nil {
		return err
	}
	r, _, err := usbip.ParseRequest(head)
	if err != nil {
		return err
	}
	data := make([]byte, r.Data())
	if _, err := io.ReadFull(s.conn, data); err != nil {
		return err
	}
	if r.Unlink != nil {
		return s.unlink(*r.Unlink)
	}
	if r.Submit.In {
		data = make([]byte, r.Submit.Length)
	}
	return s.submit(*r.Submit, data)
}

// unlink takes back what waits. Everything else was answered.
func (s *session) unlink(u usbip.Unlink) error {
	answer := usbip.Unlinked{Sequence: u.Sequence}
	if s.waiting[u.Submit] {
		delete(s.waiting, u.Submit)
		answer.Status = -int32(syscall.ECONNRESET)
	}
	_, err := s.conn.Write(usbip.AppendUnlinked(nil, answer))
	return err
}

func (s *session) submit(r usbip.Submit, data []byte) error {
	n, err := s.control(r, data)
	if errors.Is(err, syscall.ENODEV) {
		return err
	}
	if errors.Is(err, syscall.ETIMEDOUT) {
		if s.waiting[r.Sequence] = true; len(s.waiting) > maxWaiting {
			return fmt.Errorf("%d requests wait", len(s.waiting))
		}
		return nil
	}
	done := usbip.Done{Sequence: r.Sequence, Length: uint32(n)}
	if err != nil {
		done = usbip.Done{Sequence: r.Sequence, Status: -int32(number(err))}
	}
	out := usbip.AppendDone(nil, done)
	if r.In && err == nil {
		out = append(out, data[:n]...)
	}
	_, err = s.conn.Write(out)
	return err
}

func (s *session) control(r usbip.Submit, data []byte) (int, error) {
	if r.Endpoint != 0 {
		return 0, syscall.EPIPE
	}
	value, index := binary.LittleEndian.Uint16(r.Setup[2:]), binary.LittleEndian.Uint16(r.Setup[4:])
	if r.Setup[0] == 0 && r.Setup[1] == setConfiguration {
		if reset, ok := s.d.(Resetter); ok && s.configured {
			if err := reset.BusReset(); err != nil {
				return 0, err
			}
		}
		s.configured = true
	}
	n, err := s.d.Control(r.Setup[0], r.Setup[1], value, index, data)
	if !r.In && err == nil {
		n = len(data)
	}
	return min(n, len(data)), err
}

// number is the Linux error in an error, or EPIPE.
func number(err error) syscall.Errno {
	if e := syscall.Errno(0); errors.As(err, &e) {
		return e
	}
	return syscall.EPIPE
}
