package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/exec"
)

// A driver is a way to a child.
type driver struct {
	check func(k *Child) error // of its settings, without the bus; nil: none
	open  func(k *Child, folder string) (child.Child, error)
}

// drivers are what is linked, by the name in the configuration.
var drivers = map[string]driver{
	"exec": {checkExec, openExec},
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
	if d.check == nil {
		return nil
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
