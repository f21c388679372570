package dfu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/child"
	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// Limits of a run of dfu-util.
const (
	maxOutput   = 256 << 10 // bytes
	programTime = time.Hour
	grace       = 5 * time.Second
)

// program lets dfu-util do the transfer to a device in DFU mode.
func (c *Child) program(ctx context.Context, d Device, file []byte, told func(int64)) error {
	setting, err := c.listed(ctx, d)
	if err != nil {
		return err
	}
	path := filepath.Join(c.o.Folder, "send.bin")
	args, suffix := c.arguments(d, file)
	if err := atomicfile.Write(path, wire.AppendSuffix(bytes.Clone(file), suffix), 0o600); err != nil {
		return err
	}
	defer os.Remove(path)
	out, err := c.run(ctx, d, told, append(args, "-a", strconv.Itoa(setting), "-D", path)...)
	if errors.Is(err, child.ErrAway) && strings.Contains(out, "status after completion") && c.leaves(ctx, d) {
		return nil // it has all of it, and restarted
	}
	return err
}

// arguments are those of a download but for the setting and the file, whose
// suffix fits any device: what it fits was looked at before.
func (c *Child) arguments(d Device, file []byte) ([]string, wire.Suffix) {
	s := wire.Suffix{Release: wire.Any, Product: wire.Any, Vendor: wire.Any, Version: wire.Version10}
	f := d.dfuInterface().Functional
	if f == nil || f.Version != wire.VersionSe {
		return nil, s
	}
	if _, err := wire.ParseContainer(file); err == nil {
		s.Version = wire.VersionSe
		return []string{"-s", ":leave"}, s
	}
	return []string{"-s", fmt.Sprintf("%#x:leave", c.o.Address)}, s
}

var listLine = regexp.MustCompile(`(?m)^Found DFU: .*path="([^"]*)", alt=(\d+), name="([^"]*)"`)

// listed finds the number of the setting in what dfu-util lists.
func (c *Child) listed(ctx context.Context, d Device) (int, error) {
	out, err := c.run(ctx, d, nil, "-l")
	if err != nil {
		return 0, err
	}
	var names []string
	numbers := map[string]int{}
	for _, m := range listLine.FindAllStringSubmatch(out, -1) {
		if n, err := strconv.Atoi(m[2]); err == nil && m[1] == d.Port {
			names, numbers[m[3]] = append(names, m[3]), n
		}
	}
	for _, want := range c.o.Alts {
		if n := slices.IndexFunc(names, func(name string) bool { return calls(name, want) }); n >= 0 {
			return numbers[names[n]], nil
		}
	}
	return 0, fmt.Errorf("%s has no setting called %s, but %q; set the name of the slot that does not run", d, strings.Join(c.o.Alts, " or "), names)
}

// run runs dfu-util and returns what it said.
func (c *Child) run(ctx context.Context, d Device, told func(int64), args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, programTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.o.Program, append([]string{"-p", d.Port}, args...)...)
	out := &progress{told: told}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, out, grace
	err := cmd.Run()
	if err != nil && ctx.Err() == nil {
		err = meaning(err, string(out.text))
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", c.o.Program, args[0], err)
	}
	return string(out.text), err
}

var statusLine = regexp.MustCompile(`status\((\d+)\) =`)

// gone are words of dfu-util and libusb for a device that does not answer.
var gone = []string{
	"No DFU capable USB device", "Lost device", "LIBUSB_ERROR_NO_DEVICE", "LIBUSB_ERROR_NOT_FOUND", "LIBUSB_ERROR_TIMEOUT", "LIBUSB_ERROR_IO",
}

// meaning finds out what an exit code, which is 74 for almost everything, means.
func meaning(err error, out string) error {
	lines := strings.FieldsFunc(out, func(r rune) bool { return r == '\n' || r == '\r' })
	last := strings.TrimSpace(strings.Join(lines[max(0, len(lines)-1):], ""))
	if all := statusLine.FindAllStringSubmatch(out, -1); len(all) > 0 {
		if n, _ := strconv.ParseUint(all[len(all)-1][1], 10, 8); n != 0 {
			return &Fault{"download", wire.Code(n)}
		}
	}
	for _, words := range gone {
		if strings.Contains(out, words) {
			return fmt.Errorf("%w: %w: %.200s", child.ErrAway, err, last)
		}
	}
	return fmt.Errorf("%w: %.200s", err, last)
}

// progress keeps what fits of the output, and tells how many bytes it names.
type progress struct {
	text []byte
	told func(int64)
	line []byte
	far  int64
}

var bytesSent = regexp.MustCompile(`^Download\s.*\s(\d+) bytes`)

func (p *progress) Write(text []byte) (int, error) {
	p.text = append(p.text, text[:min(len(text), maxOutput-len(p.text))]...)
	for _, b := range text {
		if b != '\r' && b != '\n' {
			if p.line = append(p.line, b); len(p.line) < maxAttribute {
				continue
			}
		}
		p.tell()
	}
	return len(text), nil
}

func (p *progress) tell() {
	m := bytesSent.FindSubmatch(p.line)
	p.line = p.line[:0]
	if m == nil || p.told == nil {
		return
	}
	if n, err := strconv.ParseInt(string(m[1]), 10, 64); err == nil && n > p.far {
		p.far = n
		p.told(n)
	}
}
