package smp

import (
	"fmt"
	"net"
	"time"

	wire "github.com/moult-ota/moult/internal/wire/smp"
)

// Port is where MCUmgr listens unless it was told otherwise.
const Port = "1337"

// udpMost is what fits a datagram on Ethernet, in bytes.
const udpMost = 1472

type udp struct {
	net.Conn
	buffer []byte
}

// UDP returns how to reach a server; address is host:port, or a host alone.
func UDP(address string) func() (Transport, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(address, Port)
	}
	return func() (Transport, error) {
		conn, err := net.Dial("udp", address)
		if err != nil {
			return nil, fmt.Errorf("reach child by UDP: %w", err)
		}
		return &udp{conn, make([]byte, wire.MaxPacket)}, nil
	}
}

// Send sends one datagram.
func (u *udp) Send(packet []byte) error {
	_, err := u.Write(packet)
	return err
}

// Recv receives one datagram. A refused port is an error, too: it is away.
func (u *udp) Recv(deadline time.Time) ([]byte, error) {
	if err := u.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	n, err := u.Read(u.buffer)
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), u.buffer[:n]...), nil
}

func (u *udp) Limits() Limits { return Limits{Packet: 384, Most: udpMost} }
