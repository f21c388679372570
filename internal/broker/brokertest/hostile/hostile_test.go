package hostile_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/broker/brokertest/hostile"
	external "github.com/moult-ota/moult/internal/broker/mqtt"
)

// TestAsTold: what is published comes as the test said it should.
func TestAsTold(t *testing.T) {
	h := hostile.Start(t)
	b, err := external.Dial(t.Context(), external.Options{URL: "mqtt://" + h.Addr(), ClientID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	in := make(chan []byte, 8)
	if _, err := b.Subscribe("x/+", "", func(_ string, payload []byte) { in <- bytes.Clone(payload) }); err != nil {
		t.Fatal(err)
	}
	h.Mangle(func(m hostile.Message) []hostile.Message {
		changed := m
		changed.Payload = append([]byte("not "), m.Payload...)
		return []hostile.Message{changed, m}
	})
	if err := b.Publish(t.Context(), "x/y", []byte("so"), false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"not so", "so"} {
		select {
		case got := <-in:
			if string(got) != want {
				t.Errorf("came %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q did not come", want)
		}
	}
	if heard := h.Heard(); len(heard) != 1 || heard[0].From != "a" || string(heard[0].Payload) != "so" {
		t.Errorf("Heard = %+v", heard)
	}
}
