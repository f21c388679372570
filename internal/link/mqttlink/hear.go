package mqttlink

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/session"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// hintPause is how seldom hints that nobody signed can wake the device.
const hintPause = time.Minute

// hear takes whatever the broker delivers. It runs on the MQTT library's
// goroutine, so it waits for nothing but the disk.
func (l *Link) hear(t string, payload []byte) {
	switch {
	case t == topic.Down(l.ID()), t == topic.EnrollDown(l.ID()):
		l.frame(payload)
	case t == topic.Got(l.ID()), strings.HasSuffix(t, "/c"):
		l.mu.Lock()
		f := l.fetch
		l.mu.Unlock()
		if f != nil {
			f.take(payload)
		}
	case t == topic.Release(l.o.Type):
		l.wakeByHint()
	}
}

func (l *Link) frame(payload []byte) {
	f, err := securemsg.ParseFrame(payload)
	if err != nil {
		return
	}
	switch f.Type {
	case securemsg.Enrol:
		l.answered(f.Body)
	case securemsg.HS2:
		l.welcomed(payload)
	case securemsg.Data:
		l.data(payload)
	case securemsg.Hint:
		l.hint(f)
	}
}

// answered hands on the answer to the enrolment that waits.
func (l *Link) answered(body []byte) {
	a, err := securemsg.ParseAnswer(body)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.Nonce != l.asked {
		return
	}
	l.asked = securemsg.Nonce{}
	select {
	case l.answers <- a:
	default:
	}
}

// welcomed ends a handshake.
func (l *Link) welcomed(frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shaking == nil {
		return
	}
	now := l.o.Now()
	s, w, err := l.shaking.Handshake(frame, now)
	if err != nil {
		l.o.Log.Debug("handshake", "error", err)
		return
	}
	l.session, l.shaking, l.clock = s, nil, serverClock{w.Time(), now}
	select {
	case <-l.hinted:
	default:
	}
	close(l.shaken)
}

// hint notes that the server does not know the session. Anybody may say so,
// so it must be the session that is used, and costs one handshake in ten
// seconds at most.
func (l *Link) hint(f securemsg.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == nil || f.Session != l.session.ID() {
		return
	}
	token(l.hinted)
}

// data takes a message of the session.
func (l *Link) data(frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == nil {
		return
	}
	text, err := l.session.Open(frame, l.o.Now())
	again := errors.Is(err, session.ErrDuplicate)
	if err != nil && !again {
		l.o.Log.Debug("message refused", "error", err)
		return
	}
	m, err := securemsg.ParseDown(text)
	if err != nil {
		l.o.Log.Warn("message of the server is not understood", "error", err)
		return
	}
	select { // somebody has the session, whoever hinted that he has not
	case <-l.hinted:
	default:
	}
	if !again {
		l.message(m)
	}
	l.confirm(m)
}

// confirm acknowledges what the server says until it hears that it came.
func (l *Link) confirm(m securemsg.Message) {
	switch m := m.(type) {
	case securemsg.Assignment:
		if m.Answers == 0 {
			l.ack(securemsg.KindAssignment, m.Number)
		}
	case securemsg.Cancel:
		l.ack(securemsg.KindCancel, m.Number)
	case securemsg.Keys:
		if len(l.kept.Servers) > 0 && l.kept.Servers[0] == m.Keys[0].String() {
			l.ack(securemsg.KindKeys, m.Number)
		}
	}
}

// message acts on what the server says.
func (l *Link) message(m securemsg.Message) {
	switch m := m.(type) {
	case securemsg.Ack:
		l.deliver(m.Number, m)
	case securemsg.Assignment:
		if m.Answers != 0 {
			l.deliver(m.Answers, m)
			return
		}
		token(l.called)
		l.o.Wake() // the agent asks, and gets it as an answer
	case securemsg.Cancel:
		l.off = m.Deployment
		if l.fetch != nil && l.kept.Working == m.Deployment {
			l.fetch.fail(link.ErrCanceled)
		}
		l.o.Wake()
	case securemsg.Keys:
		if err := l.kept.replace(m.Keys); err != nil {
			l.o.Log.Error("keep the server's new keys", "error", err)
		}
	case securemsg.Time:
		l.clock = serverClock{m.Time(), l.o.Now()}
	}
}

// deliver gives an answer to who waits for it.
func (l *Link) deliver(n uint64, m securemsg.Message) {
	select {
	case l.waits[n] <- m: // nobody waits on nil
	default:
	}
}

// ack acknowledges, from where nothing may wait.
func (l *Link) ack(of securemsg.Kind, n uint64) {
	text, err := securemsg.Ack{Of: of, Number: n}.Append(nil)
	if err != nil {
		return
	}
	frame, err := l.session.Seal(nil, text, l.o.Now())
	if err != nil {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), l.o.Timeout)
		defer cancel()
		_ = l.line.publish(ctx, topic.Up(l.ID()), frame) // the server says it again
	}()
}

// maxPanic is how long after a broken connection a fleet takes to come back.
const maxPanic = 5 * time.Second

// gone wakes the agent a while after the connection broke, so that it can be
// called again.
func (l *Link) gone() { time.AfterFunc(l.jitter(maxPanic), l.o.Wake) }

// wakeByHint wakes the device some time after a hint that anybody may have
// given, and not for each.
func (l *Link) wakeByHint() {
	l.mu.Lock()
	now := l.o.Now()
	early := !l.woken.IsZero() && now.Sub(l.woken) < hintPause && !now.Before(l.woken)
	if !early {
		l.woken = now
	}
	l.mu.Unlock()
	if !early {
		time.AfterFunc(l.jitter(5*time.Second), l.o.Wake)
	}
}
