// Package topic names the MQTT topics of the secure distribution, and says who
// may do what on them. It is the one table that brokers are set up from, and
// that the tests of every broker are generated from.
//
//	moult/v1/enroll/up/{d}    device → server   before it is accepted
//	moult/v1/enroll/dn/{d}    server → device
//	moult/v1/up/{d}           device → server   session frames
//	moult/v1/dn/{d}           server → device
//	moult/v1/obj/{oid}/get/{n}  {n} → whoever serves objects
//	moult/v1/got/{n}          answers to {n}
//	moult/v1/obj/{oid}/c      carousel: every chunk, for all who wait
//	moult/v1/rel/{type}       hint "look for updates", retained, not signed
//	moult/v1/gw/{g}           gateway alive, retained; its will says offline
package topic

import (
	"strings"
)

// Max is the longest topic or filter that a client may name, in bytes.
const Max = 200

const (
	root       = "moult/v1/"
	enrollUp   = root + "enroll/up/"
	enrollDown = root + "enroll/dn/"
	up         = root + "up/"
	down       = root + "dn/"
	object     = root + "obj/"
	got        = root + "got/"
	release    = root + "rel/"
	gateway    = root + "gw/"
)

// EnrollUp is where a device that is not accepted yet speaks.
func EnrollUp(id string) string { return enrollUp + id }

// EnrollDown is where it is answered.
func EnrollDown(id string) string { return enrollDown + id }

// Up carries frames of a device to the server.
func Up(id string) string { return up + id }

// Down carries frames of the server to a device.
func Down(id string) string { return down + id }

// Get carries requests of node id for pieces of an object.
func Get(oid, id string) string { return object + oid + "/get/" + id }

// Got carries the answers to node id.
func Got(id string) string { return got + id }

// Carousel carries every chunk of an object once, for all who wait.
func Carousel(oid string) string { return object + oid + "/c" }

// Release carries the hint that there is something new for a device type.
func Release(deviceType string) string { return release + escape(deviceType) }

// Alive says whether a gateway is there.
func Alive(id string) string { return gateway + id }

// Of returns the node that a topic belongs to, and what that topic is, by its
// name with the node's id left out: Of(Up("x")) is "x", Up("").
func Of(t string) (id, kind string) {
	i := strings.LastIndexByte(t, '/')
	return t[i+1:], t[:i+1]
}

// escape makes one level of a topic of any text: what brokers and NATS take
// for themselves becomes %XX.
func escape(text string) string {
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	for _, c := range []byte(text) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("/+#.*>$%", c) >= 0 {
			out.Write([]byte{'%', hex[c>>4], hex[c&15]})
			continue
		}
		out.WriteByte(c)
	}
	return out.String()
}
