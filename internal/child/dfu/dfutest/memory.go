package dfutest

import (
	"bytes"

	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// A memory is DfuSe's, as its map says.
type memory struct {
	layout  wire.Layout
	pointer uint32
	bytes   map[uint32]byte // what is not there is erased
	dirty   int             // bytes that were written without an erase before
}

// Memory reads DfuSe's memory, and how many bytes were written over others.
func (d *Device) Memory(address uint32, size int) (p []byte, dirty int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p = bytes.Repeat([]byte{0xff}, size)
	if d.memory == nil {
		return p, 0
	}
	for i := range p {
		if b, ok := d.memory.bytes[address+uint32(i)]; ok {
			p[i] = b
		}
	}
	return p, d.memory.dirty
}

// Fill writes memory, as programmed before.
func (d *Device) Fill(address uint32, p []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seMemory().write(address, p)
}

func (d *Device) seMemory() *memory {
	if d.memory == nil {
		l, err := wire.ParseLayout(d.Alts[0])
		if err != nil {
			panic("dfutest: " + err.Error())
		}
		d.memory = &memory{layout: l, bytes: map[uint32]byte{}}
	}
	return d.memory
}

func (m *memory) write(address uint32, p []byte) {
	for i, b := range p {
		at := address + uint32(i)
		if _, there := m.bytes[at]; there {
			m.dirty++
		}
		m.bytes[at] = b
	}
}

func (d *Device) downloadSe(block uint16, data []byte) error {
	m := d.seMemory()
	d.state = wire.DownloadSync
	switch {
	case len(data) == 0:
		d.state = wire.ManifestSync
	case block == 0:
		c, err := wire.ParseCommand(data)
		if err != nil {
			return d.stall(wire.ErrStalled)
		}
		d.carryOut(m, c)
	case block >= wire.FirstBlock:
		m.write(m.pointer+uint32(block-wire.FirstBlock)*uint32(d.Functional.TransferSize), data)
	}
	return nil
}

func (d *Device) carryOut(m *memory, c wire.Command) {
	switch c.Order {
	case wire.SetAddress:
		m.pointer = c.Address
	case wire.Erase:
		for _, s := range m.layout.Segments {
			if uint64(c.Address) < uint64(s.Address) || uint64(c.Address) >= s.End() {
				continue
			}
			from := s.Address + (c.Address-s.Address)/s.Size*s.Size
			for at := from; at < from+s.Size; at++ {
				delete(m.bytes, at)
			}
		}
	}
}
