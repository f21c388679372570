package program

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

// options are a command line.
type options struct {
	flash, key, image string
	serial            bool
	link, udp         string
	board             virtualmcu.Options
	fast, newer       bool
}

func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("moult-mcu", flag.ContinueOnError)
	f.StringVar(&o.flash, "flash", "", "`file` of the flash, made when it is not there; without, all is forgotten at the end")
	f.StringVar(&o.key, "key", "", "public key `file` that the boot loader verifies images with (PEM)")
	f.StringVar(&o.image, "image", "", "image `file` that a blank flash begins with")
	f.StringVar(&o.board.Type, "type", "frdm_k64f", "board `name` that SMP and USB tell")
	f.StringVar(&o.board.Name, "name", "0001", "serial `number`")
	f.BoolVar(&o.serial, "serial", false, "SMP on a pseudo-terminal, whose path is printed")
	f.StringVar(&o.link, "serial-link", "", "the same, with a symbolic link at `path`")
	f.StringVar(&o.udp, "udp", "", "SMP over UDP at `address`, such as 127.0.0.1:1337")
	f.Var((*class)(&o.board.ClassID), "class-id", "`UUID` of the board, hex, that images must carry")
	f.BoolVar(&o.newer, "no-downgrade", false, "the boot loader refuses older versions")
	f.BoolVar(&o.fast, "fast", false, "flash and reset take no time")
	f.BoolVar(&o.board.Frugal, "frugal", false, "SMP leaves out what is false")
	f.DurationVar(&o.board.Watchdog, "watchdog", 8*time.Second, "`time` after which a crashed application is reset; 0 for never")
	f.IntVar(&o.board.BufferSize, "buffer", 0, "`bytes` of an SMP message; 384 by default, 2048 with --udp, as in Zephyr")
	f.Float64Var(&o.board.Faults.Lose, "lose", 0, "`part` of frames that get lost, 0 to 1")
	f.Float64Var(&o.board.Faults.Double, "double", 0, "`part` of frames that come twice")
	f.DurationVar(&o.board.Faults.Latency, "latency", 0, "`time` that a frame takes, each way")
	f.Uint64Var(&o.board.Faults.Seed, "seed", 1, "`number` that chance begins with")
	f.SetOutput(io.Discard)
	return f
}

// A class is a UUID in hex, dashes or not.
type class []byte

func (c *class) String() string { return hex.EncodeToString(*c) }

func (c *class) Set(text string) error {
	p, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err == nil && len(p) != 16 {
		err = errors.New("want 32 hexadecimal digits")
	}
	*c = p
	return err
}

// parse reads a command line of f, which has no arguments beside flags.
func parse(f *flag.FlagSet, args []string) error {
	err := f.Parse(args)
	if err == nil && f.NArg() > 0 {
		err = fmt.Errorf("%q is no option", f.Arg(0))
	}
	if err == nil {
		return nil
	}
	var text strings.Builder
	f.SetOutput(&text)
	f.PrintDefaults()
	if errors.Is(err, flag.ErrHelp) {
		err = nil
	}
	return usageError{err, text.String()}
}

// maxFile bounds an image or a key, in bytes.
const maxFile = 16 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(p) > maxFile {
		err = fmt.Errorf("read %s: more than %d bytes", path, maxFile)
	}
	return p, err
}

// device makes the board that the options describe, and keeps its flash.
func (o *options) device(log func(string, ...any)) (*virtualmcu.Device, io.Closer, error) {
	if o.key == "" {
		return nil, nil, errors.New("name the public key that images are verified with: --key")
	}
	text, err := readFile(o.key)
	if err != nil {
		return nil, nil, err
	}
	key, err := mcuboot.ParsePublicKey(text)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", o.key, err)
	}
	if o.image != "" {
		if o.board.Image, err = readFile(o.image); err != nil {
			return nil, nil, err
		}
	}
	f, err := flash.New(virtualmcu.K64F)
	if o.flash != "" {
		f, err = flash.Open(o.flash, virtualmcu.K64F)
	}
	if err != nil {
		return nil, nil, err
	}
	o.board.Flash, o.board.Log, o.board.Keys = f, log, []mcuboot.PublicKey{key}
	o.board.Guard.Newer = o.newer
	if !o.fast {
		o.board.Times = virtualmcu.Real
	}
	if o.board.BufferSize == 0 && o.udp != "" {
		o.board.BufferSize = 2048
	}
	d, err := virtualmcu.New(o.board)
	if err == nil {
		if slots, _ := d.Slots(); slots[0].Image == nil {
			err = errors.New("slot 0 holds no image that could start: name a first one with --image, for a flash that is new")
		}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return d, f, nil
}
