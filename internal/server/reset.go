package server

import (
	"context"
	"log/slog"
)

// ResetOperator makes an operator token with all rights from the data
// directory alone, for when every token is lost. No server may run on it.
func ResetOperator(ctx context.Context, o Options) (secret string, err error) {
	o.MQTT, o.MQTTLeaves, o.MQTTBroker = "", "", ""
	s, err := Open(ctx, o, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	defer func() {
		if closed := s.Close(); err == nil {
			err = closed
		}
	}()
	return s.control.ResetOperator(ctx)
}
