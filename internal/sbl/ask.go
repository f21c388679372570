package sbl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/sbl/fetch"
	"github.com/moult-ota/moult/internal/sbl/nic"
	"github.com/moult-ota/moult/internal/slot"
)

// recoverBoard asks the network for an image when there is none to start.
func recoverBoard(o Options, c *os.File) error {
	keys, unread := o.keys()
	if len(keys) == 0 {
		return fmt.Errorf("%w without a key: %w", errNoRecovery, errors.Join(errors.New("set verify-keys"), unread))
	}
	b, err := settled(o)
	if err != nil {
		return err
	}
	mac, err := network(o, c)
	if err != nil {
		return err
	}
	env, disk, err := b.register()
	if err != nil {
		return fmt.Errorf("%w without the register: %w", errNoRecovery, err)
	}
	url := expand(o.Recover, o.DeviceType, mac)
	fmt.Fprintf(c, "moult-sbl: nothing to start; asking %s\n", url)
	r := recovery{
		env: env, keys: keys, verify: o.verifier(), deviceType: o.DeviceType,
		open: func(s slot.Slot) (slot.File, error) { return slot.OpenFile(b.path(b.parts[s])) },
		say:  func(format string, args ...any) { fmt.Fprintf(c, "moult-sbl: "+format+"\n", args...) },
		fetch: func(most int64) (io.ReadCloser, error) {
			f, err := fetch.Open(url, fetch.Options{Dial: nic.Dial, Most: most, Say: func(err error) { say(c, err) }})
			return &shown{f, c, 0, 0}, err
		},
	}
	return errors.Join(r.run(), disk.Close())
}

// shown tells whoever looks how far a file has come, in tenths.
type shown struct {
	*fetch.Reader
	to     io.Writer
	off    int64
	tenths int64
}

func (s *shown) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.off += int64(n)
	if size := s.Size(); n > 0 && s.off*10/size > s.tenths {
		s.tenths = s.off * 10 / size
		fmt.Fprintf(s.to, "moult-sbl: %d0%% of %d bytes\n", s.tenths, size)
	}
	return n, err
}

// network brings the interface up and returns its hardware address, when that
// is asked for.
func network(o Options, c *os.File) (mac string, err error) {
	if o.NetUp != "" {
		hook := exec.Command(o.NetUp, o.Interface)
		hook.Stdin, hook.Stdout, hook.Stderr = c, c, c
		if err := hook.Run(); err != nil {
			return "", fmt.Errorf("bring network up: %s: %w", o.NetUp, err)
		}
	}
	if o.Address == "" && !strings.Contains(o.Recover, macPart) {
		return "", nil
	}
	i, err := appeared(o.Interface, o.Wait)
	if err != nil {
		return "", fmt.Errorf("bring network up: %w", err)
	}
	defer i.Close()
	if o.Address != "" {
		n, err := nic.ParseNet(o.Address)
		if err == nil {
			err = i.Up(n)
		}
		if err != nil {
			return "", fmt.Errorf("bring network up: %w", err)
		}
	}
	return i.MAC()
}

// appeared waits for an interface.
func appeared(name string, wait time.Duration) (*nic.Interface, error) {
	for end := time.Now().Add(wait); ; time.Sleep(50 * time.Millisecond) {
		i, err := nic.Open(name)
		if err == nil || time.Now().After(end) {
			return i, err
		}
	}
}

// What a URL may leave to the board.
const (
	macPart  = "{mac}"
	typePart = "{device_type}"
)

// expand fills a URL in, escaped as RFC 3986 §2.3 wants it.
func expand(url, deviceType, mac string) string {
	return strings.NewReplacer(typePart, escape(deviceType), macPart, escape(mac)).Replace(url)
}

func escape(text string) string {
	var out strings.Builder
	for _, c := range []byte(text) {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~:", c) >= 0
		if plain {
			out.WriteByte(c)
			continue
		}
		fmt.Fprintf(&out, "%%%02X", c)
	}
	return out.String()
}
