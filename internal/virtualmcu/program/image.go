package program

import (
	"crypto"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/mcuboot"
)

// makeImage signs a firmware with habits.
func makeImage(args []string, stdout io.Writer) error {
	var w virtualmcu.Firmware
	var key, version, out, confirm string
	f := flag.NewFlagSet("moult-mcu image", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&key, "key", "", "private key `file` to sign with (PEM)")
	f.StringVar(&version, "version", "", "`version` of the image")
	f.StringVar(&out, "out", "", "`file` to write")
	f.IntVar(&w.Size, "size", 8<<10, "`bytes` of payload")
	f.StringVar(&w.Type, "for", "", "`board` that it runs on; it hangs on others")
	f.Var((*class)(&w.ClassID), "class-id", "`UUID` of the boards that it is for, hex")
	f.StringVar(&confirm, "confirm", "host", "who confirms it: host, self or never")
	f.DurationVar(&w.After, "after", 0, "`time` from its start until it confirms itself")
	f.BoolVar(&w.Crash, "crash", false, "it boots and never answers")
	f.BoolVar(&w.Sick, "sick", false, "it answers, but its self-test (echo) fails")
	f.BoolVar(&w.NoDFU, "no-dfu", false, "it has no DFU interface")
	if err := parse(f, args); err != nil {
		return err
	}
	ways := map[string]virtualmcu.Confirm{"host": virtualmcu.ConfirmHost, "self": virtualmcu.ConfirmSelf, "never": virtualmcu.ConfirmNever}
	way, ok := ways[confirm]
	switch {
	case key == "" || version == "" || out == "":
		return errors.New("make image: --key, --version and --out are needed")
	case !ok:
		return fmt.Errorf("make image: --confirm %s: want host, self or never", confirm)
	}
	w.Confirm = way
	if err := load(&w, key, version); err != nil {
		return err
	}
	p, err := w.Image()
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, p, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %v, %d bytes\n", out, w.Version, len(p))
	return nil
}

func load(w *virtualmcu.Firmware, key, version string) (err error) {
	text, err := readFile(key)
	if err != nil {
		return err
	}
	private, err := mcuboot.ParsePrivateKey(text)
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return fmt.Errorf("read %s: %w", key, mcuboot.ErrKey)
	}
	w.Key = signer
	w.Version, err = mcuboot.ParseVersion(version)
	return err
}
