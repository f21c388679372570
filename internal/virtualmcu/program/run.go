package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/moult-ota/moult/internal/virtualmcu"
)

// run is a board from power on to power off.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	var o options
	if err := parse(o.flags(), args); err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(stdout, format+"\n", args...)
	}
	d, kept, err := o.device(say)
	if err != nil {
		return err
	}
	defer kept.Close()
	doors, err := o.open(d, say)
	defer doors.close()
	if err != nil {
		return err
	}
	if len(doors) == 0 {
		return errors.New("nobody could reach it: name a door, --serial, --serial-link or --udp")
	}
	d.Power(true)
	defer d.Power(false)
	return doors.serve(ctx, d)
}

// A door is one way to the board.
type door struct {
	io.Closer
	serve func() error
}

type doors []door

func (all doors) close() {
	for _, o := range all {
		_ = o.Close() // nothing is in it that was not sent
	}
}

// serve serves the doors until ctx ends or one fails.
func (all doors) serve(ctx context.Context, d *virtualmcu.Device) error {
	failed := make(chan error, len(all))
	for _, o := range all {
		go func() { failed <- o.serve() }()
	}
	button := make(chan os.Signal, 1)
	signal.Notify(button, syscall.SIGHUP)
	defer signal.Stop(button)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-button:
			d.Reset()
		}
	}
}

// open opens the doors that were asked for, and says where they are.
func (o *options) open(d *virtualmcu.Device, say func(string, ...any)) (all doors, err error) {
	if o.serial || o.link != "" {
		one, path, err := openSerial(d, o.link)
		if err != nil {
			return all, err
		}
		all = append(all, one)
		say("serial %s", path)
	}
	if o.udp != "" {
		conn, err := net.ListenPacket("udp", o.udp)
		if err != nil {
			return all, err
		}
		all = append(all, door{conn, func() error { return d.ServeUDP(conn) }})
		say("udp %s", conn.LocalAddr())
	}
	return all, nil
}

func openSerial(d *virtualmcu.Device, link string) (one door, path string, err error) {
	tty, err := virtualmcu.OpenPTY()
	if err != nil {
		return one, "", err
	}
	one = door{tty, func() error { return d.ServeSerial(tty) }}
	if link == "" {
		return one, tty.Path, nil
	}
	if old, err := os.Lstat(link); err == nil && old.Mode()&os.ModeSymlink != 0 {
		err = os.Remove(link) // of an earlier run
		if err != nil {
			return one, "", errors.Join(err, tty.Close())
		}
	}
	if err := os.Symlink(tty.Path, link); err != nil {
		return one, "", errors.Join(err, tty.Close())
	}
	return door{unlink{tty, link}, one.serve}, link, nil
}

// An unlink removes a port's link with it.
type unlink struct {
	io.Closer
	link string
}

func (u unlink) Close() error { return errors.Join(os.Remove(u.link), u.Closer.Close()) }
