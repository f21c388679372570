package fetch

import (
	"fmt"
	"strconv"
	"strings"
)

// An Addr is where a server listens, in TCP over IPv4.
type Addr struct {
	IP   [4]byte
	Port uint16
}

// String returns ADDRESS:PORT.
func (a Addr) String() string { return fmt.Sprintf("%s:%d", FormatIP(a.IP), a.Port) }

// parseAddr reads ADDRESS[:PORT]; without a port it is that of HTTP.
func parseAddr(host string) (a Addr, ok bool) {
	digits, port, has := strings.Cut(host, ":")
	if a.IP, ok = ParseIP(digits); !ok {
		return a, false
	}
	if a.Port = 80; has {
		n, err := strconv.ParseUint(port, 10, 16)
		a.Port, ok = uint16(n), err == nil && n > 0
	}
	return a, ok
}

// ParseIP reads four numbers with dots between. Package netip does more, and
// takes 0.08 MB.
func ParseIP(text string) (ip [4]byte, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) != len(ip) {
		return ip, false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || strconv.FormatUint(n, 10) != part { // 010 is 8 to some
			return ip, false
		}
		ip[i] = byte(n)
	}
	return ip, true
}

// FormatIP is the reverse of ParseIP.
func FormatIP(ip [4]byte) string { return fmt.Sprintf("%d.%d.%d.%d", ip[0], ip[1], ip[2], ip[3]) }
