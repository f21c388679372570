package brokertest

import (
	"fmt"
	"strings"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/moult-ota/moult/internal/wire/topic"
)

const oid = "00112233445566778899aabbccddeeff"

// matrix tries every role on every topic and filter with every verb. What the
// table of wire/topic does not grant must not happen, and what it grants must.
func matrix(t *testing.T, w World) {
	seen := newInbox()
	stop, err := w.Spy.Subscribe("moult/v1/#", "", seen.put)
	check(t, err)
	defer stop()
	tried := 0
	for _, id := range []string{"enrolling-m", "device-m", "gateway-m"} {
		g := w.grant(id)
		for n, name := range topics(id) {
			mayPublish(t, w, id, name, fmt.Sprint("p", n), g.MayPublish(name), seen)
			tried++
		}
		for n, f := range append(topics(id), filters(id)...) {
			maySubscribe(t, w, id, f, fmt.Sprint("s", n), g)
			tried++
		}
	}
	t.Logf("%d attempts", tried)
}

// topics are all that there are, for a node and for another one, and others.
func topics(id string) []string {
	var all []string
	for _, n := range []string{id, "other-" + id} {
		all = append(all, topic.EnrollUp(n), topic.EnrollDown(n), topic.Up(n), topic.Down(n), topic.Get(oid, n), topic.Got(n), topic.Alive(n))
	}
	return append(all, topic.Carousel(oid), topic.Release("bench"), "moult/v1/obj/"+oid, "moult/v1/up", "moult/v1/up/"+id+"/x", "moult/v2/up/"+id, "x", "$SYS/x")
}

// filters are wildcards, and what brokers take for something else.
func filters(id string) []string {
	return []string{
		"#", "+", "+/+/+/+", "moult/#", "moult/v1/#", "moult/v1/+/" + id, "moult/v1/up/#", "moult/v1/dn/+", "moult/v1/dn/#", "moult/v1/got/+", "moult/v1/enroll/#",
		"moult/v1/obj/#", "moult/v1/obj/+/get/+", "moult/v1/obj/+/c", "moult/v1/rel/+", "moult/v1/gw/+", "$SYS/#", "$MQTT/#", "$share/g/" + topic.Down("other-"+id),
	}
}

// concrete is a topic that a filter covers.
func concrete(f, id string) string {
	f = strings.TrimPrefix(f, "$share/g/")
	levels := strings.Split(f, "/")
	want := strings.Split(topic.Down("other-"+id), "/")
	if len(levels) > 2 && levels[2] == "obj" {
		want = strings.Split(topic.Get(oid, "other-"+id), "/")
	}
	for i, l := range levels {
		switch {
		case l == "#":
			return strings.Join(append(levels[:i:i], want[i:]...), "/")
		case l == "+" && i < len(want):
			levels[i] = want[i]
		case l == "+":
			levels[i] = "x"
		}
	}
	return strings.Join(levels, "/")
}

// mayPublish publishes, and then on a topic of the node's own: what was let
// through comes before that.
func mayPublish(t *testing.T, w World, id, name, payload string, want bool, seen *inbox) {
	t.Helper()
	c := connect(t, w, id)
	defer c.Disconnect(0)
	payload = id + payload
	_ = done(c.Publish(name, 0, false, payload))
	mark := "mark " + payload
	if err := done(c.Publish(topic.EnrollUp(id), 0, false, mark)); err != nil || !c.IsConnectionOpen() {
		again := connect(t, w, id) // it was thrown out
		publish(t, again, topic.EnrollUp(id), mark)
	}
	if !arrives(seen, topic.EnrollUp(id), mark) {
		publish(t, connect(t, w, id), topic.EnrollUp(id), mark)
		seen.wait(t, topic.EnrollUp(id), mark)
	}
	if got := seen.has(name, payload); got != want {
		t.Errorf("%s publishes on %s: %v, want %v", id, name, got, want)
	}
}

// maySubscribe subscribes, and hears a message there or not. A filter that is
// wider than the grant may be refused, or let through only what is granted.
func maySubscribe(t *testing.T, w World, id, filter, payload string, g topic.Grant) {
	t.Helper()
	c := connect(t, w, id)
	defer c.Disconnect(0)
	in := newInbox()
	hear := func(_ mqtt.Client, m mqtt.Message) { in.put(m.Topic(), m.Payload()) }
	payload = id + payload
	_ = done(c.Subscribe(topic.EnrollDown(id), 0, hear))
	if filter != topic.EnrollDown(id) {
		_ = done(c.Subscribe(filter, 0, hear))
	}
	name := concrete(filter, id)
	if strings.HasPrefix(name, "$") || !c.IsConnectionOpen() {
		return // thrown out: heard nothing
	}
	check(t, w.Spy.Publish(t.Context(), name, []byte(payload), false))
	check(t, w.Spy.Publish(t.Context(), topic.EnrollDown(id), []byte("mark "+payload), false))
	if !arrives(in, topic.EnrollDown(id), "mark "+payload) && c.IsConnectionOpen() {
		t.Errorf("%s subscribed to %s and hears nothing at all", id, filter)
	}
	got, want := in.has(name, payload), g.MaySubscribe(filter)
	if got && !g.MaySubscribe(name) || want && !got {
		t.Errorf("%s hears %s by subscribing to %s: %v, want %v", id, name, filter, got, want)
	}
}
