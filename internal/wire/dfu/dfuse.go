package dfu

import (
	"encoding/binary"
	"fmt"
)

// FirstBlock is the number of the first block of data in DfuSe; a block goes
// to pointer + (number - FirstBlock) * TransferSize. Block 0 has commands.
const FirstBlock = 2

// An Order is what a command of DfuSe does, UM0424 and AN3156.
type Order uint8

// The orders.
const (
	SetAddress    Order = 0x21
	Erase         Order = 0x41
	ReadUnprotect Order = 0x92
)

// A Command is what block 0 carries. It is carried out at the next GetStatus,
// and the one after that has the result.
type Command struct {
	Order   Order
	Address uint32
	All     bool // Erase: everything, and there is no address
}

func (c Command) hasAddress() bool {
	return c.Order == SetAddress || c.Order == Erase && !c.All
}

// AppendCommand appends c.
func AppendCommand(dst []byte, c Command) []byte {
	dst = append(dst, byte(c.Order))
	if c.hasAddress() {
		dst = binary.LittleEndian.AppendUint32(dst, c.Address)
	}
	return dst
}

// ParseCommand reads all of src.
func ParseCommand(src []byte) (Command, error) {
	if len(src) != 1 && len(src) != 5 {
		return Command{}, fmt.Errorf("parse DfuSe command: %d bytes, want 1 or 5", len(src))
	}
	c := Command{Order: Order(src[0]), All: src[0] == byte(Erase) && len(src) == 1}
	known := c.Order == SetAddress || c.Order == Erase || c.Order == ReadUnprotect
	if !known || c.hasAddress() != (len(src) == 5) {
		return Command{}, fmt.Errorf("parse DfuSe command: %#x of %d bytes", src[0], len(src))
	}
	if c.hasAddress() {
		c.Address = binary.LittleEndian.Uint32(src[1:])
	}
	return c, nil
}
