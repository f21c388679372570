package smp_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/child/smp"
	wire "github.com/moult-ota/moult/internal/wire/smp"
)

// A server answers in memory; a way that it may misbehave is a field.
type server struct {
	t       *testing.T
	noSHA   bool // it has no room for one
	oldOnly bool // version 1 alone, and says so
	busy    bool // the slot is not free until it is erased
	stale   bool // an answer to something earlier comes before each
	mute    int  // answers to resets that get lost

	got     []byte
	resets  int
	pending bool
	answers [][]byte
}

func (s *server) open() (smp.Transport, error) { return s, nil }
func (s *server) Close() error                 { return nil }
func (s *server) Limits() smp.Limits           { return smp.Limits{Packet: 384, Most: 1472} }

func (s *server) Recv(deadline time.Time) ([]byte, error) {
	if len(s.answers) == 0 {
		time.Sleep(time.Until(deadline))
		return nil, os.ErrDeadlineExceeded
	}
	p := s.answers[0]
	s.answers = s.answers[1:]
	return p, nil
}

func (s *server) Send(text []byte) error {
	p, _, err := wire.ParsePacket(bytes.Clone(text))
	check(s.t, err)
	var body []byte
	m, failed := s.answer(p)
	switch {
	case failed != nil:
		body, err = wire.AppendError(nil, failed)
	case m == nil:
		return nil
	default:
		body, err = wire.AppendBody(nil, m)
	}
	check(s.t, err)
	if s.stale {
		old := p
		old.Sequence--
		s.put(old, body[:0:0])
	}
	s.put(p, body)
	return nil
}

func (s *server) put(p wire.Packet, body []byte) {
	if len(body) == 0 {
		body = []byte{0xa1, 0x62, 'r', 'c', 1}
	}
	text, err := wire.AppendPacket(nil, p.Answer(body))
	check(s.t, err)
	s.answers = append(s.answers, text)
}

func (s *server) answer(p wire.Packet) (wire.Message, *wire.Error) {
	if s.oldOnly && p.Version != wire.V1 {
		return nil, &wire.Error{Group: wire.SMP, Code: wire.RCTooNew}
	}
	switch p.Command {
	case wire.Params:
		return nil, &wire.Error{Group: wire.SMP, Code: wire.RCNotSupported}
	case wire.State:
		return wire.StateAnswer{Images: []wire.Image{{Version: "1.0.0", Active: true, Hash: []byte{byte(s.resets)}, Pending: s.pending}}}, nil
	case wire.Reset:
		s.resets++
		if s.mute > 0 {
			s.mute--
			return nil, nil
		}
	case wire.Echo:
		return wire.EchoAnswer{}, nil
	case wire.Erase:
		s.busy = false
	case wire.Upload:
		return s.upload(p)
	}
	return wire.Empty{}, nil
}

func (s *server) upload(p wire.Packet) (wire.Message, *wire.Error) {
	m, err := wire.ParseBody[wire.UploadRequest](p.Body)
	check(s.t, err)
	switch {
	case s.noSHA && len(m.SHA) > 0:
		return nil, &wire.Error{Group: wire.SMP, Code: wire.RCInvalid}
	case s.busy:
		return nil, &wire.Error{Group: wire.SMP, Code: wire.RCBadState}
	case m.Off == 0:
		s.got = nil
	}
	if int(m.Off) == len(s.got) {
		s.got = append(s.got, m.Data...)
	}
	return wire.UploadAnswer{Off: uint32(len(s.got))}, nil
}

func TestServers(t *testing.T) {
	im := image(t, 2, 3001)
	for name, s := range map[string]*server{
		"no room for a SHA":       {noSHA: true},
		"first version alone":     {oldOnly: true},
		"answers to earlier ones": {stale: true},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			c := smp.NewClient(s.open, quick)
			check(t, c.Upload(t.Context(), im.Bytes, nil))
			if !bytes.Equal(s.got, im.Bytes) {
				t.Errorf("%d bytes arrived, want %d and the same", len(s.got), len(im.Bytes))
			}
		})
	}
}

func TestErasesWhatIsNotFree(t *testing.T) {
	s := &server{t: t, busy: true}
	k := smp.New(s.open, quick)
	_ = k.Send(t.Context(), image(t, 2, 3001), nil) // this server lists no hash afterwards
	if s.busy || len(s.got) == 0 {
		t.Errorf("busy is %v, and %d bytes arrived; want the slot erased and the image sent", s.busy, len(s.got))
	}
}

// TestResetsOnce: a second reset would end a trial that the first one began.
func TestResetsOnce(t *testing.T) {
	s := &server{t: t, mute: 1}
	check(t, smp.New(s.open, quick).Reset(t.Context()))
	if s.resets != 1 {
		t.Errorf("it was reset %d times, want once", s.resets)
	}
}
