package smp

import (
	"errors"
	"fmt"
	"slices"
	"time"

	wire "github.com/moult-ota/moult/internal/wire/smp"
)

// maxStuck bounds answers in a row that move nothing.
const maxStuck = 200

// take takes an answer. Those to pieces that are forgotten say nothing new.
func (u *upload) take(p wire.Packet) error {
	i := slices.IndexFunc(u.flight, func(s sent) bool { return p.Answers(s.request) })
	if i < 0 {
		return nil
	}
	a, err := wire.ParseAnswer[wire.UploadAnswer](p)
	if errors.Is(err, wire.ErrMessage) {
		return nil // as good as lost
	}
	if err != nil {
		return fmt.Errorf("send image at %d: %w", u.flight[i].off, err)
	}
	off := int(a.Off)
	if off < 0 || off > len(u.image) {
		return fmt.Errorf("send image: the child wants byte %d of %d", a.Off, len(u.image))
	}
	s := u.flight[i]
	u.alive = time.Now()
	if s.again == 0 && s.off != 0 {
		u.rtt.measure(time.Since(s.at))
	}
	if a.Match != nil && off == len(u.image) {
		u.match = *a.Match
	}
	return u.move(i, s, off)
}

// move goes to where the server is.
func (u *upload) move(i int, s sent, off int) error {
	u.stuck++
	if off > u.best {
		u.best, u.stuck = off, 0
		u.told(int64(off))
	}
	if u.stuck > maxStuck {
		return fmt.Errorf("send image: the child stays at byte %d of %d", off, len(u.image))
	}
	switch {
	case off == len(u.image): // it has all
		u.flight, u.next, u.best = nil, off, off
	case off == s.end, off > s.end && slices.ContainsFunc(u.flight, func(f sent) bool { return f.end == off }):
		u.flight = slices.DeleteFunc(u.flight, func(f sent) bool { return f.end <= off })
		u.window = min(u.window+1, u.limit)
	default: // it wants another: one got lost, or it forgot, or it remembers
		u.flight, u.next = nil, off
		if s.off != 0 {
			u.window = max(1, u.window/2)
		}
	}
	return nil
}

// A roundTrip learns how long an answer takes, as TCP does (RFC 6298).
type roundTrip struct {
	mean, spread time.Duration
}

func (r *roundTrip) measure(d time.Duration) {
	if r.mean == 0 {
		r.mean, r.spread = d, d/2
		return
	}
	r.spread += ((r.mean - d).Abs() - r.spread) / 4
	r.mean += (d - r.mean) / 8
}

// patience is how long to wait before a piece is repeated.
func (r *roundTrip) patience(again int, most time.Duration) time.Duration {
	const least = 100 * time.Millisecond
	if r.mean == 0 {
		return most
	}
	return min(most, max(least, r.mean+4*r.spread)<<min(again, 8))
}
