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

// Waits for answers that may have been lost.
const (
	askAgain  = 2 * time.Second  // an enrolment, or a handshake
	shakeTime = 12 * time.Second // longer than the server keeps from two handshakes
)

var (
	errPins    = errors.New("none of the server's session keys is one that this device was given; is it another server?")
	errNoShake = errors.New("the server does not answer the handshake")
)

// ready makes a line and a session, as far as they are not there.
func (l *Link) ready(ctx context.Context) error {
	l.reach.Lock()
	defer l.reach.Unlock()
	if err := l.join(ctx); err != nil {
		return err
	}
	if l.alive() {
		return nil
	}
	err := l.shake(ctx)
	if !errors.Is(err, errNoShake) {
		return err
	}
	// The server does not know this device, or has other keys.
	if err := l.forgetServers(); err != nil {
		return err
	}
	if err := l.letIn(ctx); err != nil {
		return err
	}
	if err := l.join(ctx); err != nil {
		return err
	}
	return l.shake(ctx)
}

// alive reports whether there is a session that need not be renewed.
func (l *Link) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session != nil && !l.session.RekeyWanted(l.o.Now())
}

// forgetServers goes back to the keys that the device was given.
func (l *Link) forgetServers() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.forgetServers()
}

// drop forgets the session.
func (l *Link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = nil
}

// join connects as a member, and enrols when that is refused.
func (l *Link) join(ctx context.Context) error {
	l.mu.Lock()
	_, known := l.kept.server()
	enrolled := known && len(l.kept.Servers) > 0
	l.mu.Unlock()
	if !enrolled {
		if err := l.letIn(ctx); err != nil {
			return err
		}
	}
	err := l.line.connect(ctx, true)
	if !errors.Is(err, errRefused) {
		return err
	}
	if err := l.letIn(ctx); err != nil {
		return err
	}
	return l.line.connect(ctx, true)
}

// enrol asks to be let in.
func (l *Link) enrol(ctx context.Context) error {
	l.reach.Lock()
	defer l.reach.Unlock()
	return l.letIn(ctx)
}

// letIn sends an enrolment until it is answered. ErrUnauthorized: the answer
// is no, or not yet.
func (l *Link) letIn(ctx context.Context) error {
	if !l.line.open() { // a member may ask, too
		if err := l.line.connect(ctx, false); err != nil {
			return err
		}
	}
	frame, err := l.request()
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		if err := l.line.publish(ctx, topic.EnrollUp(l.ID()), frame); err != nil {
			return fmt.Errorf("enrol: %w", err)
		}
		select {
		case a := <-l.answers:
			return l.admitted(a)
		case <-time.After(askAgain):
		case <-ctx.Done():
			return fmt.Errorf("enrol: the server does not answer: %w", ctx.Err())
		}
	}
}

// request is a signed enrolment in a frame.
func (l *Link) request() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.kept.number()
	if err != nil {
		return nil, err
	}
	// A device that lost what it kept begins its numbers anew; its clock goes on.
	n = max(n, uint64(max(l.o.Now().Unix(), 0)))
	r := securemsg.Request{
		Key: l.spki, Counter: n, Suite: suite, Session: l.kept.private.PublicKey().Bytes(),
		Identity: l.o.Identity, Type: l.o.Type,
	}
	if _, err := l.o.Random.Read(r.Nonce[:]); err != nil {
		return nil, err
	}
	l.asked = r.Nonce
	if l.o.Token != "" {
		if err := l.token(&r); err != nil {
			return nil, err
		}
	}
	body, err := securemsg.SignRequest(nil, r, l.o.Key)
	if err != nil {
		return nil, err
	}
	return securemsg.AppendFrame(nil, securemsg.Frame{Type: securemsg.Enrol, Body: body})
}

// token seals the enrolment token to a key that the device was given; without
// one the broker can read it.
func (l *Link) token(r *securemsg.Request) (err error) {
	for _, key := range l.kept.pinned {
		if key.Suite == suite {
			r.Sealed, err = securemsg.SealToken(key, l.id, r.Nonce, l.o.Token)
			return err
		}
	}
	r.Token = l.o.Token
	return nil
}

// admitted acts on the answer to an enrolment.
func (l *Link) admitted(a securemsg.Answer) error {
	switch a.Standing {
	case securemsg.StandingPending:
		return fmt.Errorf("%w: it waits for acceptance", link.ErrUnauthorized)
	case securemsg.StandingRejected:
		return fmt.Errorf("%w: it is rejected", link.ErrUnauthorized)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.trust(a.Keys)
}

// shake makes a session. The server works on one handshake of a device in ten
// seconds, so the first message is said again for longer than that.
func (l *Link) shake(ctx context.Context) error {
	if err := l.rest(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	server, _ := l.kept.server()
	hello := securemsg.Hello{Boot: l.kept.Boots, Agent: l.o.Agent}
	i, err := session.NewInitiator(session.Device{ID: l.id, Suite: suite, Key: l.kept.private}, server, hello, l.o.Random)
	done := make(chan struct{})
	l.shaking, l.shaken = i, done
	l.shakes.Note(l.o.Now())
	l.mu.Unlock()
	if err != nil {
		return err
	}
	end := time.NewTimer(shakeTime)
	defer end.Stop()
	for {
		if err := l.line.publish(ctx, topic.Up(l.ID()), i.Frame()); err != nil {
			return fmt.Errorf("shake hands: %w", err)
		}
		select {
		case <-done:
			return nil
		case <-time.After(askAgain):
		case <-end.C:
			return errNoShake
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errNoShake, ctx.Err())
		}
	}
}

// rest waits until another handshake may be begun.
func (l *Link) rest(ctx context.Context) error {
	l.mu.Lock()
	wait := l.shakes.Wait(l.o.Now())
	l.mu.Unlock()
	if wait == 0 {
		return nil
	}
	return link.Sleep(ctx, wait)
}
