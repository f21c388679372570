package smp_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/moult-ota/moult/internal/child/smp"
)

// An unplugged transport breaks after some packets.
type unplugged struct {
	*server
	left int
}

func (u *unplugged) Send(p []byte) error {
	if u.left--; u.left < 0 {
		return io.ErrClosedPipe
	}
	return u.server.Send(p)
}

func TestGoesOnAfterThePortWasAway(t *testing.T) {
	s, opened := &server{t: t}, 0
	c := smp.NewClient(func() (smp.Transport, error) {
		opened++
		if opened == 2 {
			return nil, io.ErrUnexpectedEOF // not back yet
		}
		return &unplugged{s, 4}, nil
	}, quick)
	im := image(t, 2, 3001)
	check(t, c.Upload(t.Context(), im.Bytes, nil))
	if !bytes.Equal(s.got, im.Bytes) || opened < 4 {
		t.Errorf("%d bytes arrived after %d openings, want %d", len(s.got), opened, len(im.Bytes))
	}
}
