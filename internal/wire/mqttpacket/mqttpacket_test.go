package mqttpacket_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/moult-ota/moult/internal/wire/mqttpacket"
)

func packet(n int) []byte {
	return append(mqttpacket.AppendHead(nil, 0x30, n), bytes.Repeat([]byte{0xff}, n)...)
}

func TestHead(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455} {
		first, got, err := mqttpacket.Head(bufio.NewReader(bytes.NewReader(mqttpacket.AppendHead(nil, 0x82, n))), n)
		if first != 0x82 || got != n || err != nil {
			t.Errorf("Head of %d = %02x, %d, %v", n, first, got, err)
		}
		_, _, err = mqttpacket.Head(bufio.NewReader(bytes.NewReader(mqttpacket.AppendHead(nil, 0x82, n))), n-1)
		if !errors.Is(err, mqttpacket.ErrTooLong) {
			t.Errorf("Head of %d with limit %d = %v, want %v", n, n-1, err, mqttpacket.ErrTooLong)
		}
	}
	_, _, err := mqttpacket.Head(bytes.NewReader([]byte{0x30, 0x80, 0x80, 0x80, 0x80, 0x01}), 1<<30)
	if !errors.Is(err, mqttpacket.ErrMalformed) {
		t.Errorf("Head of five length bytes = %v, want %v", err, mqttpacket.ErrMalformed)
	}
	if _, _, err := mqttpacket.Head(bytes.NewReader([]byte{0x30, 0x80}), 10); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Head cut off = %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

// TestLimit: whatever pieces a stream comes in, what is small passes and what
// is announced too large is not even begun.
func TestLimit(t *testing.T) {
	good := bytes.Join([][]byte{packet(0), packet(1), packet(300), packet(127), packet(500)}, nil)
	bad := append(bytes.Clone(good), packet(501)...)
	for name, cut := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "halves": iotest.HalfReader, "with its end": iotest.DataErrReader,
	} {
		got, err := io.ReadAll(mqttpacket.Limit(cut(bytes.NewReader(good)), 500))
		if err != nil || !bytes.Equal(got, good) {
			t.Errorf("%s: read %d of %d bytes, %v", name, len(got), len(good), err)
		}
		got, err = io.ReadAll(mqttpacket.Limit(cut(bytes.NewReader(bad)), 500))
		if !errors.Is(err, mqttpacket.ErrTooLong) || len(got) > len(good)+2 || !bytes.HasPrefix(got, good) {
			t.Errorf("%s: read %d bytes, %v; want %d and %v", name, len(got), err, len(good), mqttpacket.ErrTooLong)
		}
	}
}
