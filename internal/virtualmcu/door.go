package virtualmcu

import (
	"time"
)

// A door is a transport of SMP: packets come and answers go.
type door struct {
	d     *Device
	queue chan queued // as many as there are buffers
	done  chan struct{}
}

type queued struct {
	packet []byte
	reply  func([]byte)
}

// open starts to answer what comes. The caller closes done.
func (d *Device) open() door {
	o := door{d, make(chan queued, d.opts.Buffers), make(chan struct{})}
	go func() {
		for {
			select {
			case q := <-o.queue:
				d.serve(q)
			case <-o.done:
				return
			}
		}
	}()
	return o
}

// put is a packet that came. One that finds no free buffer is lost.
func (o door) put(packet []byte, reply func([]byte)) {
	o.d.fate.deliver(func() {
		select {
		case o.queue <- queued{packet, reply}:
		default:
		}
	})
}

// serve answers one packet.
func (d *Device) serve(q queued) {
	d.mu.Lock()
	reply, out := d.answer(q.packet)
	epoch := d.epoch
	d.mu.Unlock()
	if reply == nil {
		return
	}
	if out.erase && d.opts.Erase > 0 {
		time.Sleep(d.opts.Erase)
	}
	d.mu.Lock()
	gone := d.epoch != epoch || d.stuck
	d.mu.Unlock()
	if gone {
		return
	}
	d.fate.deliver(func() { q.reply(reply) })
	if out.then != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.epoch == epoch {
			out.then()
		}
	}
}
