package virtualmcu

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// maxLine bounds a line of a console, in bytes.
const maxLine = 4 << 10

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
	in := bufio.NewReaderSize(rw, maxLine)
	a := assembler{most: d.opts.BufferSize}
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue // no line of ours is that long
		case errors.Is(err, io.EOF), errors.Is(err, fs.ErrClosed), errors.Is(err, io.ErrClosedPipe):
			return nil
		case err != nil:
			return fmt.Errorf("serve smp on serial: %w", err)
		}
		if packet := a.line(bytes.TrimRight(line, "\r\n")); packet != nil {
			o.put(bytes.Clone(packet), c.reply)
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
	c.write(appendFrames([]byte(text), packet))
}

func (c *console) write(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.w.Write(p) // nobody may be there to read
}
