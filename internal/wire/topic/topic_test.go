package topic_test

import (
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/wire/topic"
)

const me, other, oid = "0123456789abcdef", "fedcba9876543210", "00112233445566778899aabbccddeeff"

// TestTable spells the specification's table out, for one node.
func TestTable(t *testing.T) {
	tests := []struct {
		topic      string
		publish    []topic.Role
		subscribe  []topic.Role
		wild       string // with a wildcard in place of the id
		wildServer bool   // the server may publish or subscribe to all
	}{
		{topic.EnrollUp(me), roles(topic.Enrolling, topic.Device, topic.Gateway), roles(topic.Server), "moult/v1/enroll/up/+", true},
		{topic.EnrollDown(me), roles(topic.Server), roles(topic.Enrolling, topic.Device, topic.Gateway), "moult/v1/enroll/dn/+", false},
		{topic.Up(me), roles(topic.Device, topic.Gateway), roles(topic.Server), "moult/v1/up/+", true},
		{topic.Down(me), roles(topic.Server), roles(topic.Device, topic.Gateway), "moult/v1/dn/+", false},
		{topic.Get(oid, me), roles(topic.Device, topic.Gateway), roles(topic.Server), "moult/v1/obj/+/get/+", true},
		{topic.Got(me), roles(topic.Server), roles(topic.Device, topic.Gateway), "moult/v1/got/+", false},
		{topic.Carousel(oid), roles(topic.Server), roles(topic.Device, topic.Gateway), "", false},
		{topic.Release("bench"), roles(topic.Server), roles(topic.Device, topic.Gateway), "", false},
		{topic.Alive(me), roles(topic.Gateway), roles(topic.Server), "moult/v1/gw/+", true},
	}
	for _, tt := range tests {
		for r := topic.None; r <= topic.Server+1; r++ {
			g := topic.GrantOf(r, me)
			if got, want := g.MayPublish(tt.topic), has(tt.publish, r); got != want {
				t.Errorf("role %d may publish %s: %v, want %v", r, tt.topic, got, want)
			}
			if got, want := g.MaySubscribe(tt.topic), has(tt.subscribe, r); got != want {
				t.Errorf("role %d may subscribe %s: %v, want %v", r, tt.topic, got, want)
			}
			if tt.wild == "" {
				continue
			}
			if want := r == topic.Server && tt.wildServer; g.MaySubscribe(tt.wild) != want || g.MayPublish(tt.wild) {
				t.Errorf("role %d may subscribe %s: %v, want %v; publish: %v", r, tt.wild, g.MaySubscribe(tt.wild), want, g.MayPublish(tt.wild))
			}
		}
	}
}

// TestNothingOfOthers fails when a node may do anything on another's topics,
// or with a wildcard wider than its own.
func TestNothingOfOthers(t *testing.T) {
	theirs := []string{
		topic.EnrollUp(other), topic.EnrollDown(other), topic.Up(other), topic.Down(other), topic.Get(oid, other), topic.Got(other), topic.Alive(other),
		"#", "+", "moult/#", "moult/v1/#", "moult/v1/+/" + me, "moult/v1/up/#", "moult/v1/dn/+", "moult/v1/obj/#", "moult/v1/obj/+/get/+", "+/v1/dn/" + me,
		"moult/v1/obj/" + oid + "/#", "$SYS/#", "$share/g/moult/v1/dn/" + other, "$share/g/" + topic.Carousel(oid), "moult/v1/dn/" + me + "/x", "moult/v1/dn", "", "/",
		"moult/v1/obj//c", topic.Carousel(strings.Repeat("x", topic.Max)),
	}
	for r := topic.None; r < topic.Server; r++ {
		g := topic.GrantOf(r, me)
		for _, name := range theirs {
			if g.MayPublish(name) || g.MaySubscribe(name) {
				t.Errorf("role %d may publish %v, subscribe %v: %q", r, g.MayPublish(name), g.MaySubscribe(name), name)
			}
		}
	}
}

func TestIDsThatAreNoLevel(t *testing.T) {
	for _, id := range []string{"", "+", "#", "a/b", "a.b", "a*", "a>", "a b", "$x", "é", strings.Repeat("a", 65)} {
		if g := topic.GrantOf(topic.Gateway, id); len(g.Publish)+len(g.Subscribe) > 0 {
			t.Errorf("GrantOf(%q) = %v, want nothing", id, g)
		}
	}
	if got, want := topic.Release("ACME board/2.+"), "moult/v1/rel/ACME%20board%2F2%2E%2B"; got != want {
		t.Errorf("Release = %s, want %s", got, want)
	}
}

func TestOf(t *testing.T) {
	if id, kind := topic.Of(topic.Up(me)); id != me || kind != topic.Up("") {
		t.Errorf("Of(%s) = %s, %s", topic.Up(me), id, kind)
	}
}

func roles(r ...topic.Role) []topic.Role { return r }

func has(roles []topic.Role, r topic.Role) bool {
	for _, x := range roles {
		if x == r {
			return true
		}
	}
	return false
}
