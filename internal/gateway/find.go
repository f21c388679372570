package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A candidate is something that could be a child.
type candidate struct {
	Driver  string `json:"driver"`
	Address string `json:"address"`
	What    string `json:"what"`
}

// find looks at this machine, and asks the addresses that it was given.
func (p *program) find(ctx context.Context) error {
	all := append(usbCandidates(p.root), serialCandidates(p.root)...)
	for _, address := range p.args {
		c, err := probe(ctx, address)
		if err != nil {
			fmt.Fprintf(p.stderr, "%s: %v\n", address, err)
			continue
		}
		all = append(all, c)
	}
	if p.json {
		e := json.NewEncoder(p.stdout)
		e.SetIndent("", "  ")
		return e.Encode(append([]candidate{}, all...))
	}
	for _, c := range all {
		fmt.Fprintf(p.stdout, "%-10s  %-28s  %s\n", c.Driver, c.Address, c.What)
	}
	if len(all) == 0 {
		fmt.Fprintln(p.stdout, "nothing found; for SMP over UDP name addresses, as in moult-gateway find 192.0.2.7:1337")
	}
	return nil
}

// maxAttribute bounds what is read of a device's attribute, in bytes.
const maxAttribute = 256

func attribute(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text := make([]byte, maxAttribute)
	n, _ := f.Read(text)
	return strings.TrimSpace(string(text[:n]))
}

// usbCandidates are USB devices that have an interface of the DFU class: fe,
// subclass 01, protocol 1 in an application and 2 in a boot loader (DFU 1.1).
func usbCandidates(root string) (all []candidate) {
	interfaces, _ := filepath.Glob(root + "/sys/bus/usb/devices/*:*")
	seen := map[string]bool{}
	for _, i := range interfaces {
		if attribute(i+"/bInterfaceClass") != "fe" || attribute(i+"/bInterfaceSubClass") != "01" {
			continue
		}
		port, _, _ := strings.Cut(filepath.Base(i), ":")
		if seen[port] {
			continue
		}
		seen[port] = true
		dev := filepath.Join(filepath.Dir(i), port)
		mode := "application"
		if attribute(i+"/bInterfaceProtocol") == "02" {
			mode = "DFU mode"
		}
		what := strings.TrimSpace(attribute(dev+"/manufacturer") + " " + attribute(dev+"/product"))
		all = append(all, candidate{
			Driver: "dfu", Address: attribute(dev+"/idVendor") + ":" + attribute(dev+"/idProduct") + "@" + port,
			What: fmt.Sprintf("%s (%s)", what, mode),
		})
	}
	return all
}

// serialCandidates are the names of serial ports that stay when things are
// plugged in in another order, and else the ports that have a device.
func serialCandidates(root string) (all []candidate) {
	named := map[string]bool{}
	links, _ := filepath.Glob(root + "/dev/serial/by-id/*")
	for _, link := range links {
		port, err := filepath.EvalSymlinks(link)
		if err != nil {
			continue
		}
		named[filepath.Base(port)] = true
		all = append(all, candidate{"smp-serial", strings.TrimPrefix(link, root), "serial port " + filepath.Base(port)})
	}
	ports, _ := filepath.Glob(root + "/sys/class/tty/*/device/driver")
	for _, path := range ports {
		name := filepath.Base(filepath.Dir(filepath.Dir(path)))
		driver, _ := os.Readlink(path)
		plain := slices.Contains([]string{"serial8250", "port"}, filepath.Base(driver)) // most of these are not there
		if !named[name] && !plain {
			all = append(all, candidate{"smp-serial", "/dev/" + name, "serial port of " + filepath.Base(driver)})
		}
	}
	return all
}

// probeTime is how long an address has to answer.
const probeTime = 5 * time.Second

// probe asks an address for its images, in SMP.
func probe(ctx context.Context, address string) (candidate, error) {
	k := newChild()
	k.Driver, k.Address = "smp-udp", address
	if err := k.checkDriver(); err != nil {
		return candidate{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	b := &bus{k: k}
	defer b.Close()
	s, err := b.State(ctx)
	if err != nil {
		return candidate{}, err
	}
	return candidate{k.Driver, address, "runs " + tell(s.Running)}, nil
}
