package embedded

import (
	"crypto/rand"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/moult-ota/moult/internal/wire/topic"
)

// keys are passwords that NATS takes, each once, from who was let in before it.
// It implements server.Authentication.
type keys struct {
	mu   sync.Mutex
	open map[string]node // by password
}

type node struct {
	id       string
	role     topic.Role
	leaf     bool
	children []string // of a leaf
}

func newKeys() *keys { return &keys{open: map[string]node{}} }

// issue returns a password for one login of a client.
func (k *keys) issue(id string, r topic.Role) string { return k.add(node{id: id, role: r}) }

// issueLeaf returns one for a leaf.
func (k *keys) issueLeaf(n node) string {
	n.leaf = true
	return k.add(n)
}

func (k *keys) add(n node) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	const most = 1 << 16 // logins that never came; the map then starts over
	if len(k.open) >= most {
		clear(k.open)
	}
	password := rand.Text()
	k.open[password] = n
	return password
}

// Check implements server.Authentication.
func (k *keys) Check(c server.ClientAuthentication) bool {
	shown := c.GetOpts()
	k.mu.Lock()
	n, ok := k.open[shown.Password]
	delete(k.open, shown.Password)
	k.mu.Unlock()
	if !ok || n.id != shown.Username || n.leaf != (c.Kind() == server.LEAF) {
		return false
	}
	c.RegisterUser(&server.User{Username: n.id, Permissions: permissions(n)})
	return true
}

// permissions are a grant in NATS's words. An empty list would allow all, so
// what is not allowed is denied by name, too.
func permissions(n node) *server.Permissions {
	if n.role == topic.Server {
		return nil
	}
	g := topic.GrantOf(n.role, n.id)
	if n.leaf { // whom nobody knows yet asks through it; requests are signed, and answers no secret
		g.Publish, g.Subscribe = append(g.Publish, topic.EnrollUp("+")), append(g.Subscribe, topic.EnrollDown("+"))
	}
	for _, id := range n.children {
		c := topic.GrantOf(topic.Device, id)
		g.Publish, g.Subscribe = append(g.Publish, c.Publish...), append(g.Subscribe, c.Subscribe...)
	}
	return &server.Permissions{Publish: allow(g.Publish), Subscribe: allow(g.Subscribe)}
}

func allow(filters []string) *server.SubjectPermission {
	if len(filters) == 0 {
		return &server.SubjectPermission{Deny: []string{">"}}
	}
	p := &server.SubjectPermission{}
	for _, f := range filters {
		p.Allow = append(p.Allow, subject(f))
	}
	return p
}

// subject is a topic or filter in NATS's words. Ours have no level that is
// empty or has a dot, so that each is one token.
func subject(t string) string {
	return strings.NewReplacer("/", ".", "+", "*", "#", ">").Replace(t)
}

// name is the topic of a subject.
func name(s string) string { return strings.ReplaceAll(s, ".", "/") }
