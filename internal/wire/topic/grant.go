package topic

import "strings"

// A Role is what a client of a broker is.
type Role uint8

// The roles. An unknown one may do nothing.
const (
	None      Role = iota
	Enrolling      // a key that is not accepted yet
	Device
	Gateway // a device that serves others
	Server
)

// A Grant is what a client may publish and subscribe to: topics, in which +
// stands for any one level. Everything else is denied. A filter that a client
// subscribes to may hold no wildcard unless the grant holds it, too.
type Grant struct {
	Publish   []string
	Subscribe []string
}

// GrantOf is the table: what the node id may do in its role.
func GrantOf(r Role, id string) Grant {
	if r == Server {
		return Grant{
			Publish:   []string{EnrollDown("+"), Down("+"), Got("+"), Carousel("+"), release + "+"},
			Subscribe: []string{EnrollUp("+"), Up("+"), Get("+", "+"), Alive("+")},
		}
	}
	if r == None || r > Server || !ValidID(id) {
		return Grant{}
	}
	g := Grant{Publish: []string{EnrollUp(id)}, Subscribe: []string{EnrollDown(id)}}
	if r == Enrolling {
		return g
	}
	g.Publish = append(g.Publish, Up(id), Get("+", id))
	g.Subscribe = append(g.Subscribe, Down(id), Got(id), Carousel("+"), release+"+")
	if r == Gateway {
		g.Publish = append(g.Publish, Alive(id))
	}
	return g
}

// ValidID reports whether id may name a node: 1 to 64 characters of a-z, A-Z,
// 0-9, _ and -, so that it is one level of a topic for every broker.
func ValidID(id string) bool {
	const maxID = 64
	if id == "" || len(id) > maxID {
		return false
	}
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// MayPublish reports whether a message may be published on t.
func (g Grant) MayPublish(t string) bool { return !strings.ContainsAny(t, "+#") && some(g.Publish, t) }

// MaySubscribe reports whether filter f may be subscribed to.
func (g Grant) MaySubscribe(f string) bool { return some(g.Subscribe, f) }

func some(granted []string, t string) bool {
	for _, g := range granted {
		if covers(g, t) {
			return true
		}
	}
	return false
}

// covers reports whether all that filter t names is named by g. A + in t is
// covered by a + only, a # by nothing.
func covers(g, t string) bool {
	gs, ts := strings.Split(g, "/"), strings.Split(t, "/")
	if len(gs) != len(ts) || len(t) > Max {
		return false
	}
	for i := range gs {
		if gs[i] != ts[i] && (gs[i] != "+" || ts[i] == "#" || ts[i] == "") {
			return false
		}
	}
	return true
}
