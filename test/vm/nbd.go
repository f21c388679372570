package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// The protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md,
// as much of it as QEMU asks for.
const (
	magicInit, magicOption, magicReply = 0x4e42444d41474943, 0x49484156454f5054, 0x0003e889045565a9
	magicRequest, magicAnswer          = 0x25609513, 0x67446698

	optionAbort, optionGo                  = 2, 7
	replyAck, replyInfo, replyUnsup        = 1, 3, 1<<31 | 1
	fixedNewstyle                          = 1
	hasFlags, sendFlush                    = 1, 4
	commandRead, commandWrite              = 0, 1
	commandDisconnect, commandFlush        = 2, 3
	errIO                                  = 5
	mostOption                      int64  = 4096     // bytes of an option
	mostData                        uint32 = 32 * mib // bytes of a request
)

// greet agrees on the only disk that there is.
func (p *plug) greet(c net.Conn) error {
	var flags uint32
	if err := errors.Join(put(c, uint64(magicInit), uint64(magicOption), uint16(fixedNewstyle)), get(c, &flags)); err != nil {
		return err
	}
	for {
		var option struct {
			Magic        uint64
			Kind, Length uint32
		}
		if err := get(c, &option); err != nil {
			return err
		}
		if option.Magic != magicOption || int64(option.Length) > mostOption {
			return errors.New("read option: not one")
		}
		if _, err := io.CopyN(io.Discard, c, int64(option.Length)); err != nil {
			return err
		}
		switch option.Kind {
		case optionGo:
			return put(c, uint64(magicReply), option.Kind, uint32(replyInfo), uint32(12), uint16(0), uint64(p.size), uint16(hasFlags|sendFlush),
				uint64(magicReply), option.Kind, uint32(replyAck), uint32(0))
		case optionAbort:
			return errors.New("the machine went away")
		}
		if err := put(c, uint64(magicReply), option.Kind, uint32(replyUnsup), uint32(0)); err != nil {
			return err
		}
	}
}

// serve answers one request after the other. When the trap goes off it answers
// no more, and waits for the power to go.
func (p *plug) serve(c net.Conn) error {
	for {
		var r struct {
			Magic         uint32
			Flags, Kind   uint16
			Handle, Start uint64
			Length        uint32
		}
		if err := get(c, &r); err != nil {
			return err
		}
		if r.Magic != magicRequest || r.Length > mostData || r.Kind > commandFlush || r.Kind == commandDisconnect {
			return errors.New("read request: not one")
		}
		var data []byte
		if r.Kind == commandRead || r.Kind == commandWrite {
			data = make([]byte, r.Length)
		}
		err := p.do(c, r.Kind, data, int64(r.Start))
		if errors.Is(err, errTripped) {
			_, err = io.Copy(io.Discard, c)
			return err
		}
		var code uint32
		if err != nil {
			code = errIO
		}
		if r.Kind == commandWrite || err != nil {
			data = nil
		}
		if err := put(c, uint32(magicAnswer), code, r.Handle, data); err != nil {
			return err
		}
	}
}

func (p *plug) do(c net.Conn, kind uint16, data []byte, off int64) error {
	switch kind {
	case commandRead:
		return p.read(data, off)
	case commandWrite:
		if _, err := io.ReadFull(c, data); err != nil {
			return err
		}
		return p.write(data, off)
	}
	return p.flush()
}

// put writes values in network order, all in one piece.
func put(w io.Writer, values ...any) error {
	var all []byte
	for _, v := range values {
		var err error
		if all, err = binary.Append(all, binary.BigEndian, v); err != nil {
			return err
		}
	}
	_, err := w.Write(all)
	return err
}

func get(r io.Reader, v any) error { return binary.Read(r, binary.BigEndian, v) }
