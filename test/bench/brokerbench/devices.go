package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moult-ota/moult/internal/wire/mqttpacket"
)

// devices are clients that subscribed to one topic each.
type devices struct {
	conns []net.Conn
	came  atomic.Int64 // messages, of all
	heard chan time.Time
}

// connectAll connects n devices, some at a time.
func connectAll(addr string, n int, filter string) (*devices, error) {
	d := &devices{heard: make(chan time.Time, n), conns: make([]net.Conn, n)}
	var wg sync.WaitGroup
	failed := make(chan error, n)
	gate := make(chan bool, 50)
	for i := range n {
		wg.Go(func() {
			gate <- true
			defer func() { <-gate }()
			c, r, err := connect(addr, fmt.Sprint("device-", i))
			if err == nil {
				d.conns[i] = c
				err = subscribe(c, r, filter)
			}
			if err != nil {
				failed <- err
				return
			}
			go d.listen(r)
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		d.close()
		return nil, err
	default:
		return d, nil
	}
}

// connect logs in with a keep-alive of 30 minutes.
func connect(addr, id string) (net.Conn, *bufio.Reader, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	body := append(text("MQTT"), 4, 0xc2, 0x07, 0x08)
	for _, s := range []string{id, id, "x"} {
		body = append(body, text(s)...)
	}
	if _, err := c.Write(append(mqttpacket.AppendHead(nil, 0x10, len(body)), body...)); err != nil {
		return nil, nil, err
	}
	r := bufio.NewReaderSize(c, 4<<10)
	return c, r, answer(r, 0x20, 4)
}

func subscribe(c net.Conn, r *bufio.Reader, filter string) error {
	body := append(append([]byte{0, 1}, text(filter)...), 0)
	if _, err := c.Write(append(mqttpacket.AppendHead(nil, 0x82, len(body)), body...)); err != nil {
		return err
	}
	return answer(r, 0x90, 5)
}

// answer reads a packet that ends with 0, which is success.
func answer(r *bufio.Reader, first byte, n int) error {
	p := make([]byte, n)
	if _, err := io.ReadFull(r, p); err != nil {
		return fmt.Errorf("wait for %02x: %w", first, err)
	}
	if p[0] != first || p[n-1] != 0 {
		return fmt.Errorf("answer %x, want %02x and 0", p, first)
	}
	return nil
}

func text(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

// listen counts what comes.
func (d *devices) listen(r *bufio.Reader) {
	for {
		_, n, err := mqttpacket.Head(r, 1<<20)
		if err != nil {
			return
		}
		if _, err := r.Discard(n); err != nil {
			return
		}
		d.came.Add(1)
		select {
		case d.heard <- time.Now():
		default:
		}
	}
}

func (d *devices) close() {
	for _, c := range d.conns {
		if c != nil {
			c.Close()
		}
	}
}

const patience = 2 * time.Minute

// hint publishes once, and returns after how long each device heard it.
func (d *devices) hint(addr, name string) ([]time.Duration, error) {
	c, _, err := connect(addr, "server")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	began := time.Now()
	if _, err := c.Write(message(name, 16)); err != nil {
		return nil, err
	}
	var took []time.Duration
	end := time.After(patience)
	for range d.conns {
		select {
		case at := <-d.heard:
			took = append(took, at.Sub(began))
		case <-end:
			return nil, fmt.Errorf("%d of %d devices heard the hint", len(took), len(d.conns))
		}
	}
	return took, nil
}

// carousel publishes chunks, never more than some ahead of the devices.
func (d *devices) carousel(addr, name string, chunks int) (time.Duration, error) {
	const ahead = 64
	c, _, err := connect(addr, "server")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	p, n := message(name, chunk), int64(len(d.conns))
	began := time.Now()
	for i := range int64(chunks) {
		if err := d.wait((i-ahead)*n, began); err != nil {
			return 0, err
		}
		if _, err := c.Write(p); err != nil {
			return 0, err
		}
	}
	err = d.wait(int64(chunks)*n, began)
	return time.Since(began), err
}

func (d *devices) wait(came int64, began time.Time) error {
	for d.came.Load() < came {
		if time.Since(began) > patience {
			return fmt.Errorf("%d of %d messages came", d.came.Load(), came)
		}
		time.Sleep(200 * time.Microsecond)
	}
	return nil
}

func message(name string, size int) []byte {
	body := append(text(name), make([]byte, size)...)
	return append(mqttpacket.AppendHead(nil, 0x30, len(body)), body...)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
