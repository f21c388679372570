package agent

import (
	"slices"
	"strings"

	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/either"
	"github.com/moult-ota/moult/internal/link/httplink"
)

// reach returns the link to the servers: through a broker, by HTTP, or either.
// wake asks for a poll.
func reach(o Options, wake func()) (link.Link, error) {
	var web []string
	brokers := slices.DeleteFunc(slices.Clone(o.Servers), func(s string) bool {
		if strings.HasPrefix(s, "mqtt:") || strings.HasPrefix(s, "mqtts:") {
			return false
		}
		web = append(web, s)
		return true
	})
	if len(brokers) == 0 {
		return reachWeb(o, web)
	}
	first, err := reachBroker(o, brokers, wake)
	if err != nil || len(web) == 0 {
		return first, err
	}
	second, err := reachWeb(o, web)
	if err != nil {
		return nil, err
	}
	return either.New(first, second, either.Options{Now: o.Now, Log: o.Log}), nil
}

func reachWeb(o Options, servers []string) (link.Link, error) {
	l, err := httplink.New(httplink.Options{
		Servers: servers, Identity: o.Identity, Key: o.Key, Token: o.Token, Transport: o.Transport, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}
