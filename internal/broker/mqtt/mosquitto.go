package mqtt

import (
	"fmt"
	"strings"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// A Mosquitto says how Mosquitto 2.0 is set up. Clients show certificates whose
// common name is their id; which of them are accepted only the server knows,
// so that here every certificate of the authority is a device's.
type Mosquitto struct {
	Port     int
	Folder   string   // of the files below
	Server   string   // common name of the server's certificate
	Gateways []string // ids
}

// Config returns mosquitto.conf.
func (m Mosquitto) Config() string {
	return fmt.Sprintf(`# Mosquitto as a broker of Moult. It is trusted with availability only.
per_listener_settings false
listener %d
cafile %[2]s/ca.pem
certfile %[2]s/broker.pem
keyfile %[2]s/broker.key
require_certificate true
# Who a client is, its certificate says; it cannot take another's client id.
use_identity_as_username true
use_username_as_clientid true
allow_zero_length_clientid false
acl_file %[2]s/acl
# Nothing that matters is kept here.
persistence false
max_qos 0
max_keepalive 1800
max_connections 65536
max_queued_messages 256
message_size_limit %d
retain_available true
`, m.Port, strings.TrimSuffix(m.Folder, "/"), broker.MaxPayload)
}

// ACL returns the file that acl_file names: the table of wire/topic.
func (m Mosquitto) ACL() string {
	var out strings.Builder
	const any = "moult-any-id"
	fmt.Fprintf(&out, "# the server\nuser %s\n", m.Server)
	rules(&out, "topic", topic.GrantOf(topic.Server, ""), "")
	for _, g := range m.Gateways {
		fmt.Fprintf(&out, "\n# a gateway\nuser %s\ntopic write %s\n", g, topic.Alive(g))
	}
	fmt.Fprintf(&out, "\n# everybody else, and gateways\n")
	rules(&out, "pattern", topic.GrantOf(topic.Device, any), any)
	return out.String()
}

// rules writes a grant; id is what stands for any client's.
func rules(out *strings.Builder, word string, g topic.Grant, id string) {
	write := func(access string, topics []string) {
		for _, t := range topics {
			if id != "" {
				t = strings.ReplaceAll(t, id, "%u")
			}
			fmt.Fprintf(out, "%s %s %s\n", word, access, t)
		}
	}
	write("write", g.Publish)
	write("read", g.Subscribe)
}
