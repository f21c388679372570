package virtualmcu

import (
	"encoding/binary"

	"github.com/fxamacker/cbor/v2"
)

// A message is an SMP message.
//
//	0 1 version and op   1 1 flags   2 2 length   4 2 group   6 1 sequence   7 1 command, then a CBOR map
type message struct {
	op       byte // 0 read, 1 its answer, 2 write, 3 its answer
	version  byte // 0 or 1, which is called v2
	group    uint16
	sequence byte
	command  byte
	body     []byte
}

const smpHeader = 8

func parseMessage(p []byte) (m message, ok bool) {
	if len(p) < smpHeader || int(binary.BigEndian.Uint16(p[2:])) != len(p)-smpHeader {
		return m, false
	}
	return message{p[0] & 7, p[0] >> 3 & 3, binary.BigEndian.Uint16(p[4:]), p[6], p[7], p[smpHeader:]}, true
}

func (m message) bytes() []byte {
	p := []byte{m.version<<3 | m.op, 0}
	p = binary.BigEndian.AppendUint16(p, uint16(len(m.body)))
	p = binary.BigEndian.AppendUint16(p, m.group)
	return append(append(p, m.sequence, m.command), m.body...)
}

// Groups and commands.
const (
	groupOS    = 0
	groupImage = 1

	osEcho, osReset, osParams, osInfo, osLoader       = 0, 5, 6, 7, 8
	imageState, imageUpload, imageErase, imageSlots   = 0, 1, 5, 6
	opRead, opWrite                                   = 0, 2
	rcOK, rcUnknown, rcInvalid, rcNoEntry, rcBadState = 0, 1, 3, 5, 6
	rcTooLarge, rcNotSupported                        = 7, 8
)

// An outcome is what a command comes to.
type outcome struct {
	body  map[string]any
	rc    int    // of SMP itself; v2 has it as v1 does
	group int    // of the group, when not zero
	erase bool   // it takes the time of erasing a slot
	then  func() // after the answer was sent; d.mu is held
}

// answer carries out a request. It returns nil when nobody answers: the board
// is off, stuck, or lost its power over it.
func (d *Device) answer(p []byte) (reply []byte, out outcome) {
	m, ok := parseMessage(p)
	if !ok || m.op != opRead && m.op != opWrite || m.version > 1 {
		return nil, out
	}
	if d.requested() || !d.answers() {
		return nil, out
	}
	if len(p) > d.opts.BufferSize {
		return nil, out // it does not fit a buffer
	}
	out = d.command(m)
	if d.settle() {
		return nil, outcome{}
	}
	m.op++
	if d.opts.V1 {
		m.version = 0
	}
	m.body = out.encode(m)
	if smpHeader+len(m.body) > d.opts.BufferSize {
		m.body = outcome{rc: rcTooLarge}.encode(m)
	}
	return m.bytes(), out
}

func (o outcome) encode(m message) []byte {
	body := o.body
	switch {
	case o.rc != rcOK:
		body = map[string]any{"rc": o.rc}
	case o.group != 0 && m.version == 0:
		body = map[string]any{"rc": asV1(m.group, o.group)}
	case o.group != 0:
		body = map[string]any{"err": map[string]any{"group": m.group, "rc": o.group}}
	case body == nil:
		body = map[string]any{}
	}
	p, err := cbor.Marshal(body)
	if err != nil {
		panic(err) // maps of plain values
	}
	return p
}

func (d *Device) command(m message) outcome {
	handlers := map[[3]int]func(cbor.RawMessage) outcome{
		{opRead, groupOS, osEcho}:         d.echo,
		{opWrite, groupOS, osEcho}:        d.echo,
		{opWrite, groupOS, osReset}:       d.reset,
		{opRead, groupOS, osParams}:       d.params,
		{opRead, groupOS, osInfo}:         d.info,
		{opRead, groupOS, osLoader}:       d.loaderInfo,
		{opRead, groupImage, imageState}:  d.state,
		{opWrite, groupImage, imageState}: d.setState,
		{opWrite, groupImage, imageUpload}: func(body cbor.RawMessage) outcome {
			return d.uploadChunk(body)
		},
		{opWrite, groupImage, imageErase}: d.eraseSlot,
		{opRead, groupImage, imageSlots}:  d.slotInfo,
	}
	h, ok := handlers[[3]int{int(m.op), int(m.group), int(m.command)}]
	if !ok {
		return outcome{rc: rcNotSupported}
	}
	return h(m.body)
}

// body reads a request's map.
func body[T any](raw cbor.RawMessage) (v T, ok bool) {
	return v, cbor.Unmarshal(raw, &v) == nil
}

// Answer carries out one SMP message at once, without a transport, and
// returns the answer, or nil when nobody answers.
func (d *Device) Answer(p []byte) (reply []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	reply, out := d.answer(p)
	if out.then != nil {
		out.then()
	}
	return reply
}
