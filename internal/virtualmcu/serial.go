package virtualmcu

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/moult-ota/moult/internal/wire/smp"
)

// readSize is how much of a console is read at once, in bytes.
const readSize = 4 << 10

// A console is a serial port that SMP shares with an application's log.
type console struct {
	mu     sync.Mutex
	w      io.Writer
	spoken int
}

// foreign is what an application says between answers.
var foreign = []string{
	"[00:00:01.204,000] <inf> app: temperature 21.5\r\n",
	"uart:~$ \r\n",
	"[00:00:07.001,000] <wrn> net: \x06 no carrier\r\n",
	"",
}

const banner = "*** Booting MCUboot v2.1.0 ***\r\n*** Booting Zephyr OS build v4.1.0 ***\r\n"

// ServeSerial answers SMP on a console, with a log between, until rw ends or
// is closed. That is no error.
func (d *Device) ServeSerial(rw io.ReadWriter) error {
	o := d.open()
	defer close(o.done)
	c := &console{w: rw}
	go c.greet(o)
	in, text := smp.Lines{Most: d.opts.BufferSize}, make([]byte, readSize)
	for {
		n, err := rw.Read(text)
		in.Write(text[:n])
		for packet := in.Next(); packet != nil; packet = in.Next() {
			o.put(packet, c.reply)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, fs.ErrClosed), errors.Is(err, io.ErrClosedPipe):
			return nil
		case err != nil:
			return fmt.Errorf("serve smp on serial: %w", err)
		}
	}
}

// greet writes what a boot writes.
func (c *console) greet(o door) {
	for running := false; ; {
		changed := o.d.Changed()
		_, now := o.d.Running()
		if now && !running {
			c.write([]byte(banner))
		}
		running = now
		select {
		case <-changed:
		case <-o.done:
			return
		}
	}
}

func (c *console) reply(packet []byte) {
	c.mu.Lock()
	text := foreign[c.spoken%len(foreign)]
	c.spoken++
	c.mu.Unlock()
	c.write(smp.AppendLines([]byte(text), packet))
}

func (c *console) write(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.w.Write(p) // nobody may be there to read
}
