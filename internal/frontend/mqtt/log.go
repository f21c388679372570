package mqtt

import (
	"bytes"
	"context"
	"fmt"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// pieces are what came of a log.
type pieces struct {
	of   deployment.ID
	text []byte
}

// takeLog adds a piece, and hands over the log with its last one. Pieces out
// of order are refused, and the device begins again.
func (k *desk) takeLog(ctx context.Context, s *seat, m securemsg.Log) error {
	if m.Total > fleet.MaxLog {
		return fleet.ErrTooLarge
	}
	if m.Offset == 0 {
		s.log = pieces{of: m.Deployment}
	}
	if m.Deployment != s.log.of || int(m.Offset) != len(s.log.text) {
		s.log = pieces{}
		return fmt.Errorf("%w: piece of a log at %d, want %d", securemsg.ErrMessage, m.Offset, len(s.log.text))
	}
	s.log.text = append(s.log.text, m.Piece...)
	if !m.Last() {
		return nil
	}
	text := s.log.text
	s.log = pieces{}
	return k.Core.Log(ctx, s.member.Device, m.Deployment, bytes.NewReader(text))
}
