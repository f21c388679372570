//go:build !moult_http_only

package agent

import (
	"fmt"

	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/mqttlink"
	"github.com/moult-ota/moult/internal/version"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// reachBroker reaches servers behind a broker.
func reachBroker(o Options, servers []string, wake func()) (link.Link, error) {
	var keys []securemsg.ServerKey
	for _, text := range o.MQTT.ServerKeys {
		key, err := securemsg.ParseServerKey(text)
		if err != nil {
			return nil, fmt.Errorf("server_keys: %w", err)
		}
		keys = append(keys, key)
	}
	l, err := mqttlink.New(mqttlink.Options{
		Servers: servers, Identity: o.Identity, Type: o.DeviceType, Key: o.Key, Store: o.MQTT.Session,
		Cache: mqttlink.Folder(o.MQTT.Cache), Token: o.Token, ServerKeys: keys, TLS: o.MQTT.TLS, Agent: version.String(),
		Metered: o.MQTT.Metered, Wake: wake, Dial: o.MQTT.Dial, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}
