package artifactcmd

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/internal/cli/usage"
	"github.com/moult-ota/moult/internal/mcupayload"
	"github.com/moult-ota/moult/mcuboot"
)

// An imageChoice is which MCUboot image goes in, and what is asked of it.
type imageChoice struct {
	keys            []string
	unsigned, force bool
}

func writeMCUboot() *cobra.Command {
	w, choice := &writer{}, imageChoice{}
	c := &cobra.Command{Use: "mcuboot-image FILE", Short: "Write an artifact with an MCUboot image for a microcontroller", Args: cobra.ArbitraryArgs, Long: mcubootLong,
		RunE: func(c *cobra.Command, args []string) error {
			w.files = append(w.files, args...)
			if len(w.files) != 1 {
				return usage.Errorf("which image? one FILE, such as zephyr.signed.bin; got %d", len(w.files))
			}
			w.spec.PayloadType = mcupayload.Type
			im, err := choice.read(w.files[0])
			if err != nil {
				return err
			}
			if err := w.describe(im); err != nil {
				return err
			}
			return w.run(c)
		}}
	w.commonFlags(c)
	w.dependsFlags(c)
	w.payloadFlags(c)
	f := c.Flags()
	f.StringArrayVarP(&w.files, "file", "f", nil, "the image, instead of an argument")
	f.StringArrayVar(&choice.keys, "image-key", nil, "public key (PEM) that must have signed the image; repeat to accept any of several")
	f.BoolVar(&choice.unsigned, "allow-unsigned", false, "take an image without a signature")
	f.BoolVar(&choice.force, "force", false, "take an image that is padded to its slot, for boot loaders that overwrite")
	replaceDefault(c, "software-filesystem", mcupayload.Type)
	f.Lookup("software-version").Usage = "must be the image's, if it is said"
	f.Lookup("security-version").Usage = "must be the image's security counter, if it is said"
	return c
}

const mcubootLong = `Write an artifact with an MCUboot image for a microcontroller.

The version, the hash and the security counter are read from the image, and provided as mcuboot-image.version, .hash and .security_version;
--software-name adds a part to the keys. The image must have its hash and a signature; with --image-key, one by that key.
--key signs the artifact around it.`

// replaceDefault gives a flag another default.
func replaceDefault(c *cobra.Command, name, value string) {
	f := c.Flags().Lookup(name)
	f.DefValue = value
	f.Value.Set(value)
}

// read refuses what a device would refuse.
func (i *imageChoice) read(path string) (*mcuboot.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	im, err := mcupayload.Read(f)
	if err != nil && !(errors.Is(err, mcupayload.ErrPadded) && i.force) {
		switch {
		case errors.Is(err, mcupayload.ErrPadded):
			err = fmt.Errorf("%w; or give --force when the boot loader overwrites", err)
		case errors.Is(err, mcuboot.ErrFormat):
			err = fmt.Errorf("%w; sign it first: moult mcuboot sign", err)
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := i.check(im); err != nil {
		return nil, usage.Coded(fmt.Errorf("%s: %w", path, err), usage.ExitVerify)
	}
	return im, nil
}

func (i *imageChoice) check(im *mcuboot.Image) error {
	var keys []mcuboot.PublicKey
	for _, path := range i.keys {
		text, err := readFile(path, maxKey)
		if err != nil {
			return err
		}
		key, err := mcuboot.ParsePublicKey(text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		keys = append(keys, key)
	}
	if !mcupayload.Signed(im) && !i.unsigned {
		return fmt.Errorf("%w: sign it with moult mcuboot sign, or give --allow-unsigned", mcuboot.ErrUnsigned)
	}
	return mcupayload.Check(im, keys)
}

// describe fills in what the image says of itself; flags may say the same.
func (w *writer) describe(im *mcuboot.Image) error {
	version := im.Header.Version.String()
	if w.software.Version != "" && w.software.Version != version {
		return usage.Errorf("--software-version %s, but the image is %s", w.software.Version, version)
	}
	w.software.Version = version
	n, ok := im.SecurityCounter()
	if w.floor >= 0 && (!ok || w.floor != int64(n)) {
		return usage.Errorf("--security-version %d is not the image's counter; sign it with --security-counter %d", w.floor, w.floor)
	}
	if ok {
		w.floor = int64(n)
	}
	if w.noVersion {
		return usage.Errorf("--no-default-software-version: servers and gateways go by the version")
	}
	if w.carried == nil {
		w.carried = map[string]string{}
	}
	maps.Copy(w.carried, mcupayload.Provides(w.software.Key(), im))
	for key, value := range w.carried {
		if said := w.said(key); said != "" && said != value {
			return usage.Errorf("--provides says %s is %s, the image says %s", key, said, strconv.Quote(value))
		}
	}
	return nil
}

// said is the value that --provides gives a key.
func (w *writer) said(key string) string {
	all, _ := pairs(w.provides) // fill sees the error
	if len(all[key]) == 0 {
		return ""
	}
	return all[key][0]
}
