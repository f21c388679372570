//go:build moult_http_only

package agent

import (
	"errors"

	"github.com/moult-ota/moult/internal/link"
)

// reachBroker is not in this program.
func reachBroker(Options, []string, func()) (link.Link, error) {
	return nil, errors.New("this moult-agent was built for HTTP only; servers with mqtts:// need the whole one")
}
