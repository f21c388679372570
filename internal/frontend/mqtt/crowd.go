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
	mu     sync.Mutex
	wants  map[securemsg.DeviceID]object.OID
	eager  map[object.OID]int
	joined map[securemsg.DeviceID]time.Time
}

// patience is how long a device counts that says nothing more.
const patience = time.Hour

func newCrowd() *crowd {
	return &crowd{wants: map[securemsg.DeviceID]object.OID{}, eager: map[object.OID]int{}, joined: map[securemsg.DeviceID]time.Time{}}
}

func (c *crowd) join(id securemsg.DeviceID, oid object.OID, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(id)
	c.wants[id], c.joined[id] = oid, now
	c.eager[oid]++
}

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
	delete(c.joined, id)
	if c.eager[oid]--; c.eager[oid] == 0 {
		delete(c.eager, oid)
	}
}

// many reports whether more than one device waits for an object.
func (c *crowd) many(oid object.OID, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.eager[oid] < 2 {
		return false
	}
	for id, at := range c.joined {
		if now.Sub(at) > patience {
			c.drop(id)
		}
	}
	return c.eager[oid] > 1
}
