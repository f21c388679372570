package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/store"
)

func members(t *testing.T, open Opener) {
	db := opened(t, open)
	d := sample(1, device.Accepted, "")
	insert(t, db, d)
	key := device.Key{Fingerprint: "f1", PEM: "p1", Status: device.Accepted, CreatedAt: at}
	m := fleet.Member{ID: "m1", Device: d.ID, Suite: 1, Session: []byte("public"), Counter: 7, Gateway: "g"}
	update(t, db, func(tx *store.Tx) error {
		return errors.Join(tx.PutKey(d.ID, key), tx.PutMember(m, "f1", at))
	})
	r := db.Read(t.Context())
	m.Key = "p1"
	equal(t, "Member", value[fleet.Member](t)(r.Member("m1")), m)
	m.Session, m.Counter, m.Serves = []byte("newer"), 8, true
	update(t, db, func(tx *store.Tx) error { return tx.PutMember(m, "f1", at.Add(time.Second)) })
	equal(t, "Member after PutMember", value[fleet.Member](t)(r.Member("m1")), m)
	equal(t, "Children", value[[]string](t)(r.Children("g", 5)), []string{"m1"})
	equal(t, "Children of nobody", len(value[[]string](t)(r.Children("", 5))), 0)
	key.Status = device.Rejected
	update(t, db, func(tx *store.Tx) error { return tx.PutKey(d.ID, key) })
	if _, err := r.Member("m1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Member with a rejected key: %v, want %v", err, store.ErrNotFound)
	}
	equal(t, "SessionKey", value[store.SessionKey](t)(r.SessionKey("m1")), store.SessionKey{Session: []byte("newer"), Counter: 8})
	update(t, db, func(tx *store.Tx) error { return tx.DeleteKey(d.ID, "f1") })
	if _, err := r.SessionKey("m1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("SessionKey without its identity key: %v, want %v", err, store.ErrNotFound)
	}
}
