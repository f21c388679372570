package smp

import (
	"io"
	"os"
	"time"

	wire "github.com/moult-ota/moult/internal/wire/smp"
)

// serialMost bounds a packet on a console, in bytes.
const serialMost = 8 << 10

type serial struct {
	port   *os.File
	lines  wire.Lines
	buffer [4096]byte
}

// Serial returns how to reach a server on a serial port; baud 0 means 115200.
func Serial(path string, baud int) func() (Transport, error) {
	return func() (Transport, error) {
		port, err := openPort(path, baud)
		if err != nil {
			return nil, err
		}
		return &serial{port: port, lines: wire.Lines{Most: serialMost}}, nil
	}
}

// Send writes the lines of a packet. A line end before them ends whatever
// stands in the child's buffer.
func (s *serial) Send(packet []byte) error {
	if err := s.port.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err := s.port.Write(wire.AppendLines([]byte("\n"), packet))
	return err
}

// Recv passes over what else is said on the console.
func (s *serial) Recv(deadline time.Time) ([]byte, error) {
	for {
		if p := s.lines.Next(); p != nil {
			return p, nil
		}
		if !time.Now().Before(deadline) { // a console may talk without an end
			return nil, os.ErrDeadlineExceeded
		}
		if err := s.port.SetReadDeadline(deadline); err != nil {
			return nil, err
		}
		n, err := s.port.Read(s.buffer[:])
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		_, _ = s.lines.Write(s.buffer[:n])
	}
}

func (s *serial) Limits() Limits {
	return Limits{Packet: 128, Most: serialMost, Overhead: wire.LineOverhead}
}

func (s *serial) Close() error { return s.port.Close() }
