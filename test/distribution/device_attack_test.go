package distribution_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/broker/brokertest/hostile"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/mqttlink"
	"github.com/moult-ota/moult/internal/server"
	"github.com/moult-ota/moult/internal/server/servertest"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// A victim is a link that is let in by a token, in a scene.
type victim struct {
	*mqttlink.Link
	id    string
	token string
	woken *atomic.Int64
}

func (s scene) victim(name string) victim {
	s.Helper()
	keys, err := server.SessionKeys(s.Options)
	must(s.T, err)
	key, err := securemsg.ParseServerKey(keys[0])
	must(s.T, err)
	token, err := s.CreateEnrolmentToken(s.Context(), client.NewEnrolmentToken{Name: name, Uses: 1})
	must(s.T, err)
	v := victim{token: token.Secret, woken: new(atomic.Int64)}
	v.Link = newLink(s.T, s.enemy.Addr(), name, func(o *mqttlink.Options) {
		o.Token, o.ServerKeys, o.Wake = token.Secret, []securemsg.ServerKey{key}, func() { v.woken.Add(1) }
	})
	must(s.T, v.Authenticate(s.Context()))
	s.idle(v)
	v.id = s.World.ID(name)
	return v
}

func (s scene) idle(v victim) {
	s.Helper()
	if o, err := v.Next(s.Context(), fromRelease("r1")); err != nil || o.Deployment != "" {
		s.Fatalf("Next = %+v, %v, want nothing to do", o, err)
	}
}

// release is an artifact whose payload nobody would come upon by chance.
func (s scene) release(name string) []byte {
	s.Helper()
	payload := noise(128 << 10)
	file := servertest.Artifact(s.T, name, "x", payload)
	_, err := s.UploadArtifact(s.Context(), bytes.NewReader(file), client.UploadArtifactParams{})
	must(s.T, err)
	return file
}

func (s scene) offer(v victim, release string) link.Offer {
	s.Helper()
	_, err := s.CreateDeployment(s.Context(), client.NewDeployment{Release: release, Target: client.Target{Devices: []string{v.id}}}, client.CreateDeploymentParams{})
	must(s.T, err)
	o, err := v.Next(s.Context(), fromRelease("r1"))
	if err != nil || o.Artifact != release {
		s.Fatalf("Next = %+v, %v, want %s", o, err, release)
	}
	return o
}

// TestEnemyReadsNothing of what it carries: no firmware, no content key, no
// token, no inventory, no log.
func TestEnemyReadsNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v := s.victim("a")
	file := s.release("r2")
	must(t, v.Describe(t.Context(), inventory.Attributes{"hostname": "a-name-nobody-knows"}))
	o := s.offer(v, "r2")
	if got := download(t, v, o.URI, 0); !bytes.Equal(got, file) {
		t.Fatalf("download = %d bytes, want %d", len(got), len(file))
	}
	must(t, v.Progress(t.Context(), fleet.Progress{Deployment: o.Deployment, State: deployment.Failed, Detail: "a-reason-nobody-knows"}))
	must(t, v.Log(t.Context(), o.Deployment, []link.Line{{At: time.Now(), Level: "info", Message: "a-line-nobody-knows"}}))
	secrets := map[string][]byte{
		"the token": []byte(v.token), "inventory": []byte("a-name-nobody-knows"), "a report": []byte("a-reason-nobody-knows"),
		"the log": []byte("a-line-nobody-knows"), "the provides": []byte("rootfs-image.version"),
	}
	for at := 0; at+24 < len(file); at += 1999 {
		secrets["firmware at "+hex.EncodeToString([]byte{byte(at >> 16), byte(at >> 8), byte(at)})] = file[at : at+24]
	}
	heard, pieces := s.enemy.Heard(), 0
	for _, m := range heard {
		if m.Topic == topic.Got(v.ID()) {
			pieces++
		}
		for what, secret := range secrets {
			if bytes.Contains(m.Payload, secret) {
				t.Errorf("%s stands in a message on %s", what, m.Topic)
			}
		}
	}
	if pieces < 30 {
		t.Errorf("%d pieces went through the broker, want the whole object", pieces)
	}
}

// TestFlippedBitsToADevice in every message of the server and every piece:
// none is taken, and the true ones after them are.
func TestFlippedBitsToADevice(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v := s.victim("a")
	file := s.release("r2")
	n := 0
	s.enemy.Mangle(func(m hostile.Message) (out []hostile.Message) {
		if strings.HasPrefix(m.Topic, "moult/v1/dn/") || strings.HasPrefix(m.Topic, "moult/v1/got/") {
			for i := 0; i < len(m.Payload); i += 1 + len(m.Payload)/64 {
				bad := m
				bad.Payload = bytes.Clone(m.Payload)
				bad.Payload[i] ^= 1 << (n % 8)
				n++
				out = append(out, bad)
			}
		}
		return append(out, m)
	})
	o := s.offer(v, "r2")
	if got := download(t, v, o.URI, 0); !bytes.Equal(got, file) {
		t.Errorf("download = %d bytes that are not the artifact's", len(got))
	}
	must(t, v.Progress(t.Context(), fleet.Progress{Deployment: o.Deployment, State: deployment.Installing}))
	if n < 1000 {
		t.Errorf("%d bits were flipped, want many", n)
	}
}

// TestCommandOfAnotherDevice: what the server tells one device, another does
// not take.
func TestCommandOfAnotherDevice(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b := s.victim("a"), s.victim("b")
	s.release("r2")
	s.enemy.Mangle(func(m hostile.Message) []hostile.Message {
		if m.Topic == topic.Down(a.ID()) {
			return []hostile.Message{m, {Topic: topic.Down(b.ID()), Payload: m.Payload}}
		}
		return []hostile.Message{m}
	})
	before := b.woken.Load()
	s.offer(a, "r2")
	s.idle(b)
	if n := b.woken.Load() - before; n != 0 {
		t.Errorf("b was woken %d times by what a was told", n)
	}
}

// TestReplayToADevice of all that the server ever told it, in the same session
// and in a later one: it does nothing.
func TestReplayToADevice(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v := s.victim("a")
	s.release("r2")
	o := s.offer(v, "r2")
	must(t, v.Progress(t.Context(), fleet.Progress{Deployment: o.Deployment, State: deployment.Failed}))
	s.idle(v)
	var told []hostile.Message
	for _, m := range s.enemy.Heard() {
		if m.Topic == topic.Down(v.ID()) || m.Topic == topic.EnrollDown(v.ID()) {
			told = append(told, m)
		}
	}
	if len(told) < 5 {
		t.Fatalf("%d messages of the server heard, want more", len(told))
	}
	for n, when := range []string{"same", "later"} {
		if n > 0 {
			must(t, v.Authenticate(t.Context()))
		}
		before := v.woken.Load()
		for _, m := range told {
			s.enemy.Say(hostile.Message{Topic: m.Topic, Payload: m.Payload})
		}
		s.idle(v)
		if n := v.woken.Load() - before; n != 0 {
			t.Errorf("replayed in the %s session, it woke the device %d times", when, n)
		}
		if _, err := v.Open(t.Context(), o.URI, 0); err == nil {
			t.Errorf("replayed in the %s session, the assignment that ended is there again", when)
		}
	}
}

// TestHugePacket: a broker that announces 256 MB makes a device set aside no
// more than a packet's cap.
func TestHugePacket(t *testing.T) {
	s := newScene(t)
	v := s.victim("a")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 8 {
		s.enemy.Raw(v.ID(), []byte{0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 'x'})
		s.idle(v)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
		t.Errorf("%d MiB were set aside for packets of 256 MB", grown>>20)
	}
}

// TestStormOfHints does not make a device poll more than once a minute.
func TestStormOfHints(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v := s.victim("a")
	for i := range 2000 {
		s.enemy.Say(hostile.Message{Topic: topic.Release("x"), Payload: []byte{byte(i)}})
		s.enemy.Say(hostile.Message{Topic: topic.Down(v.ID()), Payload: bytes.Repeat([]byte{byte(i)}, i%200)})
	}
	s.idle(v)
	time.Sleep(6 * time.Second) // a hint is acted on within five
	if n := v.woken.Load(); n > 1 {
		t.Errorf("woken %d times by 2,000 hints, want once", n)
	}
}

// TestSilentBroker: the device says that nobody answers, and is not stuck.
func TestSilentBroker(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v := s.victim("a")
	s.enemy.Mangle(func(hostile.Message) []hostile.Message { return nil })
	began := time.Now()
	if _, err := v.Next(t.Context(), fromRelease("r1")); err == nil {
		t.Error("Next behind a silent broker succeeded")
	}
	if took := time.Since(began); took > 2*time.Minute {
		t.Errorf("it took %v to give up", took)
	}
}

// TestPoisonedPieces: an object whose every piece is an enemy's is given up,
// and none of it is read.
func TestPoisonedPieces(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v := s.victim("a")
	s.release("r2")
	o := s.offer(v, "r2")
	s.enemy.Mangle(func(m hostile.Message) []hostile.Message {
		if m.Topic == topic.Got(v.ID()) && len(m.Payload) > 40 {
			m.Payload = bytes.Clone(m.Payload)
			m.Payload[len(m.Payload)-1] ^= 1
		}
		return []hostile.Message{m}
	})
	st, err := v.Open(t.Context(), o.URI, 0)
	must(t, err)
	time.AfterFunc(3*time.Second, func() { st.Body.Close() })
	if got, err := io.ReadAll(st.Body); len(got) > 0 || err == nil {
		t.Errorf("read %d bytes, %v, want none", len(got), err)
	}
}
