// Package dfu has the bytes of USB Device Firmware Upgrade 1.1 and of ST's
// DfuSe, by which microcontrollers take images over USB: descriptors,
// requests, states, the suffix of a file, and DfuSe's commands, memory map and
// container. It knows both directions and opens nothing. FORMAT.md draws it.
package dfu

import (
	"errors"
	"fmt"
)

// What an interface of the class says of itself.
const (
	Class           = 0xfe
	Subclass        = 0x01
	ProtocolRuntime = 0x01 // an application that can be updated
	ProtocolDFU     = 0x02 // a device in DFU mode: one interface, its alternate settings are targets
)

// A Request is one of the class, on the interface.
type Request uint8

// The requests of DFU 1.1 §3.
const (
	Detach Request = iota
	Download
	Upload
	GetStatus
	ClearStatus
	GetState
	Abort
)

// Request types: out to an interface of a class, and in from it.
const (
	TypeOut = 0x21
	TypeIn  = 0xa1
)

// A State is one of DFU 1.1 §6.1.2.
type State uint8

// The states.
const (
	AppIdle State = iota
	AppDetach
	Idle
	DownloadSync
	DownloadBusy
	DownloadIdle
	ManifestSync
	Manifest
	ManifestWaitReset
	UploadIdle
	Error
)

var states = [...]string{
	"appIDLE", "appDETACH", "dfuIDLE", "dfuDNLOAD-SYNC", "dfuDNBUSY", "dfuDNLOAD-IDLE",
	"dfuMANIFEST-SYNC", "dfuMANIFEST", "dfuMANIFEST-WAIT-RESET", "dfuUPLOAD-IDLE", "dfuERROR",
}

func (s State) String() string { return name(states[:], int(s), "state") }

// A Code says what went wrong, DFU 1.1 §6.1.2.
type Code uint8

// The codes.
const (
	OK Code = iota
	ErrTarget
	ErrFile
	ErrWrite
	ErrErase
	ErrCheckErased
	ErrProg
	ErrVerify
	ErrAddress
	ErrNotDone
	ErrFirmware
	ErrVendor
	ErrUSBReset
	ErrPowerOn
	ErrUnknown
	ErrStalled
)

var codes = [...]string{
	"OK", "errTARGET", "errFILE", "errWRITE", "errERASE", "errCHECK_ERASED", "errPROG", "errVERIFY", "errADDRESS",
	"errNOTDONE", "errFIRMWARE", "errVENDOR", "errUSBR", "errPOR", "errUNKNOWN", "errSTALLEDPKT",
}

func (c Code) String() string { return name(codes[:], int(c), "status") }

func name(all []string, n int, what string) string {
	if n < len(all) {
		return all[n]
	}
	return fmt.Sprintf("%s %d", what, n)
}

// StatusSize is that of the answer to GetStatus, in bytes.
const StatusSize = 6

// MaxPoll bounds what a status may ask a host to wait, in milliseconds.
const MaxPoll = 1<<24 - 1

// A Status is the answer to GetStatus.
type Status struct {
	Code   Code
	Poll   uint32 // milliseconds to wait before the next GetStatus; 24 bits
	State  State
	String uint8 // number of a string that describes Code; 0: none
}

// ErrShort is an input that ends too early.
var ErrShort = errors.New("too few bytes")

// AppendStatus appends s.
func AppendStatus(dst []byte, s Status) []byte {
	return append(dst, byte(s.Code), byte(s.Poll), byte(s.Poll>>8), byte(s.Poll>>16), byte(s.State), s.String)
}

// ParseStatus reads a status. Unknown codes and states are for the caller.
func ParseStatus(src []byte) (s Status, rest []byte, err error) {
	if len(src) < StatusSize {
		return s, src, fmt.Errorf("parse status: %w: %d of %d", ErrShort, len(src), StatusSize)
	}
	poll := uint32(src[1]) | uint32(src[2])<<8 | uint32(src[3])<<16
	return Status{Code(src[0]), poll, State(src[4]), src[5]}, src[StatusSize:], nil
}
