package usbipd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Speed is of the USB, as Linux counts.
type Speed int

// The speeds.
const (
	LowSpeed  Speed = 1
	FullSpeed Speed = 2 // that of most microcontrollers
	HighSpeed Speed = 3
)

// deviceID is bus << 16 | number at the far end, where there is none.
const deviceID = 1<<16 | 1

// A Port is one of vhci_hcd's, to which a device may be plugged.
type Port struct {
	Root   string // before /sys; "": /
	Number int
	Speed  Speed // 0 means FullSpeed
}

// Plug plugs in what is at the other end of a socket, which must be one of the
// kernel. The kernel keeps it; ours may be closed.
func (p Port) Plug(socket *os.File) error {
	speed := p.Speed
	if speed == 0 {
		speed = FullSpeed
	}
	line := fmt.Sprintf("%d %d %d %d", p.Number, socket.Fd(), deviceID, speed)
	return p.write("attach", line)
}

// Unplug takes it out.
func (p Port) Unplug() error { return p.write("detach", fmt.Sprint(p.Number)) }

func (p Port) write(name, text string) error {
	path := filepath.Join("/", p.Root, "sys/devices/platform/vhci_hcd.0", name)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("%s USB port %d: %w; is the module vhci-hcd loaded?", name, p.Number, err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		return fmt.Errorf("%s USB port %d: %w", name, p.Number, err)
	}
	return nil
}

// A Gadget is a Device that leaves the bus and comes back.
type Gadget interface {
	Device
	// Attachment says whether it is on the bus; the number changes each time it comes.
	Attachment() (generation int, attached bool)
}

// look is how often a gadget is asked whether it is on the bus.
const look = 5 * time.Millisecond

// Export keeps a gadget plugged in to a port whenever it is on the bus, until
// the context ends.
func Export(ctx context.Context, p Port, g Gadget) error {
	for ctx.Err() == nil {
		if generation, attached := g.Attachment(); attached {
			if err := once(ctx, p, g, generation); err != nil {
				return err
			}
		}
		pause(ctx)
	}
	return nil
}

// once is one attachment.
func once(ctx context.Context, p Port, g Gadget, generation int) error {
	ours, kernels, err := pair()
	if err != nil {
		return err
	}
	defer ours.Close()
	err = plug(ctx, p, kernels)
	kernels.Close()
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- Serve(ours, g) }()
	for ctx.Err() == nil {
		now, attached := g.Attachment()
		select {
		case err := <-served:
			return err
		default:
		}
		if !attached || now != generation {
			break
		}
		pause(ctx)
	}
	ours.Close()
	if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// freeing is how long the kernel takes to free a port.
const freeing = 5 * time.Second

// plug waits until the port is free of what was there before.
func plug(ctx context.Context, p Port, socket *os.File) error {
	for end := time.Now().Add(freeing); ; pause(ctx) {
		err := p.Plug(socket)
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(end) || ctx.Err() != nil {
			return err
		}
	}
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(look):
	}
}

// pair returns both ends of a socket.
func pair() (ours net.Conn, kernels *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open socket pair: %w", err)
	}
	f := os.NewFile(uintptr(fds[0]), "usbip")
	defer f.Close()
	kernels = os.NewFile(uintptr(fds[1]), "usbip")
	if ours, err = net.FileConn(f); err != nil {
		kernels.Close()
	}
	return ours, kernels, err
}
