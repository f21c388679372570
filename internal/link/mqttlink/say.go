package mqttlink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/session"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// Waits for the answer to a message.
const (
	sayAgain   = time.Second // doubled each time
	sayLongest = 4 * time.Second
	deaf       = 5 // messages without an answer end a session
)

// say says a message until it is answered. Every repetition has the number of
// the first one, so that the server does what it asks once.
func (l *Link) say(ctx context.Context, m func(number uint64) securemsg.Message) (securemsg.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	n, answer, err := l.expect()
	if err != nil {
		return nil, err
	}
	defer l.forget(n)
	text, err := m(n).Append(nil)
	if err != nil {
		return nil, err
	}
	var busy *securemsg.Ack
	for try := 1; ; try++ {
		if err := l.utter(ctx, text); err != nil {
			return nil, err
		}
		wait := link.Backoff(try, sayAgain, sayLongest)
		select {
		case got := <-answer:
			a, ok := got.(securemsg.Ack)
			if !ok || a.Result != securemsg.ResultBusy {
				return got, nil
			}
			busy, try = &a, 0
			if !l.rests(ctx, time.Duration(a.Wait)*time.Second) {
				return a, nil
			}
		case <-l.hinted:
			// The hint may come from a server that has not the session, beside
			// the one that has: then the answer is on its way.
			if got := within(answer, hintGrace); got != nil {
				return got, nil
			}
			l.drop()
		case <-l.line.lost:
		case <-time.After(wait + l.jitter(wait/4)):
			if try%deaf == 0 {
				l.drop()
			}
		case <-ctx.Done():
			if busy != nil {
				return *busy, nil
			}
			return nil, fmt.Errorf("the server does not answer: %w", ctx.Err())
		}
	}
}

// hintGrace is how long an answer may come after a hint.
const hintGrace = 500 * time.Millisecond

// within is what comes within a while; nil for nothing that is final.
func within(answer chan securemsg.Message, d time.Duration) securemsg.Message {
	select {
	case got := <-answer:
		if a, ok := got.(securemsg.Ack); ok && a.Result == securemsg.ResultBusy {
			return nil
		}
		return got
	case <-time.After(d):
		return nil
	}
}

// rests waits as a busy server asked, or until it calls; false when there is
// no time for that.
func (l *Link) rests(ctx context.Context, d time.Duration) bool {
	if left, ok := ctx.Deadline(); ok && time.Until(left) < d {
		return false
	}
	select {
	case <-time.After(d):
		return true
	case <-l.called:
		return true
	case <-ctx.Done():
		return false
	}
}

// expect returns a new number, and where its answer will come.
func (l *Link) expect() (uint64, chan securemsg.Message, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.kept.number()
	if err != nil {
		return 0, nil, err
	}
	answer := make(chan securemsg.Message, 1)
	l.waits[n] = answer
	return n, answer, nil
}

func (l *Link) forget(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waits, n)
}

// utter seals a message in the session of the moment, and publishes it. What
// the broker does not take now is said again.
func (l *Link) utter(ctx context.Context, text []byte) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	if l.session == nil {
		l.mu.Unlock()
		return nil // lost since; again
	}
	frame, err := l.session.Seal(nil, text, l.o.Now())
	l.mu.Unlock()
	if errors.Is(err, session.ErrOver) {
		l.drop()
		return nil
	}
	if err != nil {
		return err
	}
	if err := l.line.publish(ctx, topic.Up(l.ID()), frame); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}
