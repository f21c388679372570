package securemsg

import (
	"fmt"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
)

// Limits of a piece of a log, in bytes.
const (
	MaxPiece = 32 << 10
	maxLog   = MaxPiece + 128
)

// Log carries a piece of a device's log of a deployment. The pieces come in
// order, each with the next number; the one that reaches Total is the last.
type Log struct {
	Number     uint64        `cbor:"1,keyasint"`
	Deployment deployment.ID `cbor:"2,keyasint"`
	Offset     uint32        `cbor:"3,keyasint"`
	Total      uint32        `cbor:"4,keyasint"` // bytes of the whole log
	Piece      []byte        `cbor:"5,keyasint"`
}

// Last reports whether the log ends with this piece.
func (l Log) Last() bool { return l.Offset+uint32(len(l.Piece)) == l.Total }

// Append appends the message to dst.
func (l Log) Append(dst []byte) ([]byte, error) { return encode(dst, l) }

func (Log) kind() Kind { return KindLog }
func (Log) limit() int { return maxLog }

func (l Log) check() error {
	if l.Total > fleet.MaxLog {
		return fmt.Errorf("log of %d bytes, at most %d: %w", l.Total, fleet.MaxLog, fleet.ErrTooLarge)
	}
	if n := len(l.Piece); n > MaxPiece || n == 0 && l.Total > 0 {
		return fmt.Errorf("piece of %d bytes, want 1 to %d", n, MaxPiece)
	}
	if end := uint64(l.Offset) + uint64(len(l.Piece)); end > uint64(l.Total) {
		return fmt.Errorf("piece ends at %d, behind the log's end at %d", end, l.Total)
	}
	return first(checkNumber(l.Number), checkDeployment(l.Deployment))
}
