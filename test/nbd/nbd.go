// Package nbd is a disk for a virtual machine whose power is cut: a network
// block device that keeps apart what was flushed and what was only written.
// A cut loses any part of the latter.
//
// It speaks as much of the NBD protocol as QEMU asks for.
package nbd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// The protocol: github.com/NetworkBlockDevice/nbd, doc/proto.md.
const (
	magicInit    = 0x4e42444d41474943 // NBDMAGIC
	magicOption  = 0x49484156454f5054 // IHAVEOPT
	magicReply   = 0x0003e889045565a9
	magicRequest = 0x25609513
	magicAnswer  = 0x67446698

	fixedNewstyle, noZeroes = 1, 2

	optExportName, optAbort, optInfo, optGo = 1, 2, 6, 7

	replyAck, replyInfo        = 1, 3
	replyUnsupported    uint32 = 1<<31 + 1

	hasFlags, sendFlush, sendFUA = 1, 1 << 2, 1 << 3

	cmdRead, cmdWrite, cmdDisconnect, cmdFlush = 0, 1, 2, 3

	flagFUA = 1

	maxRequest = 32 << 20 // bytes, as QEMU sends at most
)

var errProtocol = errors.New("not the NBD protocol")

// Serve serves one machine on l, and then the next, until l is closed.
func (d *Disk) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		err = d.serve(c) // which ends with an error, if only io.EOF
		c.Close()
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) {
			d.note(err)
		}
	}
}

func (d *Disk) serve(c net.Conn) error {
	in := bufio.NewReaderSize(c, 64<<10)
	out := bufio.NewWriterSize(c, 64<<10)
	if err := d.shakeHands(in, out); err != nil {
		return err
	}
	for {
		if err := d.request(in, out); err != nil {
			return err
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// put writes numbers in network order.
func put(w io.Writer, numbers ...any) {
	for _, n := range numbers {
		_ = binary.Write(w, binary.BigEndian, n) // a bufio.Writer keeps the error
	}
}

func (d *Disk) shakeHands(in *bufio.Reader, out *bufio.Writer) error {
	put(out, uint64(magicInit), uint64(magicOption), uint16(fixedNewstyle|noZeroes))
	if err := out.Flush(); err != nil {
		return err
	}
	var flags uint32
	if err := binary.Read(in, binary.BigEndian, &flags); err != nil {
		return err
	}
	for {
		var o struct {
			Magic          uint64
			Option, Length uint32
		}
		if err := binary.Read(in, binary.BigEndian, &o); err != nil {
			return err
		}
		if o.Magic != magicOption || o.Length > 64<<10 {
			return errProtocol
		}
		if _, err := in.Discard(int(o.Length)); err != nil {
			return err
		}
		done, err := d.option(o.Option, flags, out)
		if err = errors.Join(err, out.Flush()); err != nil || done {
			return err
		}
	}
}

// transmission is what is said of the disk.
func (d *Disk) transmission(out io.Writer) {
	put(out, uint64(d.size), uint16(hasFlags|sendFlush|sendFUA))
}

func (d *Disk) option(option, flags uint32, out *bufio.Writer) (done bool, err error) {
	switch option {
	case optExportName:
		d.transmission(out)
		if flags&noZeroes == 0 {
			_, err = out.Write(make([]byte, 124))
		}
		return true, err
	case optGo, optInfo:
		const infoExport = 0
		put(out, uint64(magicReply), option, uint32(replyInfo), uint32(12), uint16(infoExport))
		d.transmission(out)
		put(out, uint64(magicReply), option, uint32(replyAck), uint32(0))
		return option == optGo, nil
	case optAbort:
		put(out, uint64(magicReply), option, uint32(replyAck), uint32(0))
		return true, io.EOF
	}
	put(out, uint64(magicReply), option, replyUnsupported, uint32(0))
	return false, nil
}

func (d *Disk) request(in *bufio.Reader, out *bufio.Writer) error {
	var r struct {
		Magic       uint32
		Flags, Type uint16
		Handle      uint64
		Offset      uint64
		Length      uint32
	}
	if err := binary.Read(in, binary.BigEndian, &r); err != nil {
		return err
	}
	if r.Magic != magicRequest || r.Length > maxRequest {
		return errProtocol
	}
	var p []byte
	var err error
	switch r.Type {
	case cmdRead:
		p = make([]byte, r.Length)
		err = d.read(p, int64(r.Offset))
	case cmdWrite:
		p = make([]byte, r.Length)
		if _, err := io.ReadFull(in, p); err != nil {
			return err
		}
		err = d.write(p, int64(r.Offset), r.Flags&flagFUA != 0)
		p = nil
	case cmdFlush:
		err = d.flush()
	case cmdDisconnect:
		return io.EOF
	default:
		err = fmt.Errorf("%w: request %d", errProtocol, r.Type)
	}
	if err != nil {
		d.note(err)
		const ioError = 5
		put(out, uint32(magicAnswer), uint32(ioError), r.Handle)
		return nil
	}
	put(out, uint32(magicAnswer), uint32(0), r.Handle)
	_, err = out.Write(p)
	return err
}
