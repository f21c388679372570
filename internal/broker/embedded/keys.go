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
	id   string
	role topic.Role
}

func newKeys() *keys { return &keys{open: map[string]node{}} }

// issue returns a password for one login.
func (k *keys) issue(id string, r topic.Role) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	const most = 1 << 16 // logins that never came; the map then starts over
	if len(k.open) >= most {
		clear(k.open)
	}
	password := rand.Text()
	k.open[password] = node{id, r}
	return password
}

// Check implements server.Authentication.
func (k *keys) Check(c server.ClientAuthentication) bool {
	shown := c.GetOpts()
	k.mu.Lock()
	n, ok := k.open[shown.Password]
	delete(k.open, shown.Password)
	k.mu.Unlock()
	if !ok || n.id != shown.Username {
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
