package store

import (
	"time"

	"github.com/moult-ota/moult/internal/fleet"
)

// Member returns the member id with its identity key, as long as that key is
// the accepted one of an accepted device.
func (r Reader) Member(id string) (fleet.Member, error) {
	return one(collect(r, func(s scanner) (m fleet.Member, err error) {
		var counter, serves int64
		err = s.Scan(&m.ID, &m.Device, &m.Key, &m.Suite, &m.Session, &counter, &m.Gateway, &serves)
		m.Counter, m.Serves = uint64(counter), serves != 0
		return m, err
	}, `SELECT m.id, m.device, k.pem, m.suite, m.session_key, m.counter, m.gateway, m.serves
		FROM member m JOIN device d ON d.id = m.device
		JOIN device_key k ON k.device = m.device AND k.fingerprint = m.fingerprint
		WHERE m.id = $1 AND d.status = 'accepted' AND k.status = 'accepted'`, id))
}

// A SessionKey is the session key of a member, accepted or not.
type SessionKey struct {
	Session []byte
	Counter uint64
}

// SessionKey returns the session key of a member.
func (r Reader) SessionKey(id string) (SessionKey, error) {
	return one(collect(r, func(s scanner) (k SessionKey, err error) {
		var counter int64
		err = s.Scan(&k.Session, &counter)
		k.Counter = uint64(counter)
		return k, err
	}, `SELECT session_key, counter FROM member WHERE id = $1`, id))
}

// Children returns the members behind a gateway.
func (r Reader) Children(gateway string, limit int) ([]string, error) {
	return collect(r, func(s scanner) (id string, err error) {
		err = s.Scan(&id)
		return id, err
	}, `SELECT id FROM member WHERE gateway = $1 AND gateway <> '' ORDER BY id LIMIT $2`, gateway, limit)
}

// PutMember stores a member, or what changed about it.
func (t *Tx) PutMember(m fleet.Member, fingerprint string, at time.Time) error {
	serves := 0
	if m.Serves {
		serves = 1
	}
	return t.exec("store member", `INSERT INTO member (id, device, fingerprint, suite, session_key, counter, gateway, serves, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET device = excluded.device,
		fingerprint = excluded.fingerprint, suite = excluded.suite, session_key = excluded.session_key,
		counter = excluded.counter, gateway = excluded.gateway, serves = excluded.serves, at = excluded.at`,
		m.ID, m.Device, fingerprint, m.Suite, m.Session, int64(m.Counter), m.Gateway, serves, micros(at))
}
