package mqtt

import (
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/wire/object"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// A crowd knows which devices wait for which object, so that what many want
// is sent to all of them at once.
type crowd struct {
	mu    sync.Mutex
	wants map[securemsg.DeviceID]object.OID
	heard map[object.OID]map[securemsg.DeviceID]time.Time // of those who want it
}

// patience is how long a device counts that was told of an object, or asked
// for a piece of it, and says nothing more.
const patience = 15 * time.Second

func newCrowd() *crowd {
	return &crowd{wants: map[securemsg.DeviceID]object.OID{}, heard: map[object.OID]map[securemsg.DeviceID]time.Time{}}
}

// join notes that a device was told of an object.
func (c *crowd) join(id securemsg.DeviceID, oid object.OID, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(id)
	c.wants[id] = oid
	if c.heard[oid] == nil {
		c.heard[oid] = map[securemsg.DeviceID]time.Time{}
	}
	c.heard[oid][id] = now
}

// asks notes that it asked for a piece of it.
func (c *crowd) asks(id securemsg.DeviceID, oid object.OID, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wants[id] == oid && c.heard[oid] != nil {
		c.heard[oid][id] = now
	}
}

// leave notes that it has what it wanted, or wants it no more.
func (c *crowd) leave(id securemsg.DeviceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(id)
}

func (c *crowd) drop(id securemsg.DeviceID) {
	oid, ok := c.wants[id]
	if !ok {
		return
	}
	delete(c.wants, id)
	delete(c.heard[oid], id)
	if len(c.heard[oid]) == 0 {
		delete(c.heard, oid)
	}
}

// many reports whether more than one device waits for an object.
func (c *crowd) many(oid object.OID, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, at := range c.heard[oid] {
		if now.Sub(at) <= patience {
			n++
		}
		if n > 1 {
			return true
		}
	}
	return false
}
