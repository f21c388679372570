package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/exec"
	"github.com/moult-ota/moult/internal/child/smp"
	wire "github.com/moult-ota/moult/internal/wire/smp"
)

// A driver is a way to a child.
type driver struct {
	check func(k *Child) error // of its settings, without the bus
	open  func(k *Child, folder string) (child.Child, error)
	// test asks a child whether it is well; nil: it cannot be asked.
	test func(ctx context.Context, c child.Child) error
}

// drivers are what is linked, by the name in the configuration.
var drivers = map[string]driver{
	"dfu":        {checkUSB, openDFU, nil},
	"dfu-util":   {checkUSB, openDFUUtil, nil},
	"exec":       {checkExec, openExec, nil},
	"smp-udp":    {checkUDP, openUDP, echo},
	"smp-serial": {checkSerial, openSerial, echo},
}

func (k *Child) checkDriver() error {
	d, known := drivers[k.Driver]
	if !known {
		var all []string
		for name := range drivers {
			all = append(all, name)
		}
		slices.Sort(all)
		return fmt.Errorf("driver %.80q: want one of %s", k.Driver, strings.Join(all, ", "))
	}
	return d.check(k)
}

// open opens the bus to a child; folder is for what the driver wants to keep.
func (k *Child) open(folder string) (child.Child, error) {
	return drivers[k.Driver].open(k, folder)
}

func checkExec(k *Child) error {
	if k.Program == "" {
		return errors.New("driver exec: set program")
	}
	return nil
}

func openExec(k *Child, folder string) (child.Child, error) {
	return exec.New(exec.Options{Program: k.Program, Folder: folder, ID: k.ID, Address: k.Address})
}

func checkUDP(k *Child) error {
	if k.Address == "" {
		return errors.New("driver smp-udp: set address, as in 192.0.2.7:1337")
	}
	return nil
}

func openUDP(k *Child, _ string) (child.Child, error) {
	return smp.New(smp.UDP(k.Address), smp.Options{Down: smpDown}), nil
}

func checkSerial(k *Child) error {
	if k.Address == "" {
		return errors.New("driver smp-serial: set address, as in /dev/serial/by-id/…; moult-gateway find lists them")
	}
	return smp.CheckBaud(k.Baud)
}

func openSerial(k *Child, _ string) (child.Child, error) {
	return smp.New(smp.Serial(k.Address, k.Baud), smp.Options{Down: smpDown}), nil
}

// smpDown is how long after a reset an SMP server may still answer.
const smpDown = 2 * time.Second

// echo is the self-test of every SMP server that has the command.
func echo(ctx context.Context, c child.Child) error {
	const text = "moult"
	got, err := c.(*smp.Child).Client().Echo(ctx, text)
	var no *wire.Error
	switch {
	case errors.As(err, &no) && no.Has(wire.SMP, wire.RCNotSupported):
		return nil
	case err != nil:
		return fmt.Errorf("echo: %w", err)
	case got != text:
		return fmt.Errorf("echo: child answered %.80q", got)
	}
	return nil
}
