package store

import (
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
)

// PutLog stores a device's log of a deployment, in place of an earlier one.
func (t *Tx) PutLog(id deployment.ID, dev device.ID, log []byte, at time.Time) error {
	if err := t.exec("store log", `INSERT INTO device_log (deployment, device, content, at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (deployment, device) DO UPDATE SET content = excluded.content, at = excluded.at`,
		id, dev, log, micros(at)); err != nil {
		return err
	}
	return t.exec("store log", `UPDATE assignment SET has_log = 1 WHERE deployment = $1 AND device = $2`, id, dev)
}

// DeviceLog returns a device's log of a deployment.
func (r Reader) DeviceLog(id deployment.ID, dev device.ID) (log []byte, err error) {
	err = r.row(`SELECT content FROM device_log WHERE deployment = $1 AND device = $2`, args(id, dev), &log)
	return log, err
}
