package virtualmcu

import (
	"bytes"
	"errors"
	"fmt"
	"net"
)

// maxDatagram bounds what is read of one, in bytes.
const maxDatagram = 64 << 10

// ServeUDP answers SMP, one message a datagram, until conn is closed. That is
// no error.
func (d *Device) ServeUDP(conn net.PacketConn) error {
	o := d.open()
	defer close(o.done)
	p := make([]byte, maxDatagram)
	for {
		n, from, err := conn.ReadFrom(p)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve smp over udp: %w", err)
		}
		o.put(bytes.Clone(p[:n]), func(reply []byte) {
			_, _ = conn.WriteTo(reply, from) // lost, as datagrams are
		})
	}
}
