package mcubootcmd

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/cli/usage"
	"github.com/moult-ota/moult/mcuboot"
)

// A signing is the flags of `mcuboot sign`.
type signing struct {
	key, version, counter, dependencies string
	encrypt                             string
	keyBits                             int
	header, load, romFixed, slot        string
	padHeader, pad, confirm             bool
	align, maxAlign, maxSectors         int
	overwrite, nonBootable              bool
	erased, vendor, class               string
	custom                              []string
}

func signCommand() *cobra.Command {
	s := &signing{}
	c := &cobra.Command{Use: "sign INFILE OUTFILE", Short: "Make a signed image of a program", Long: signLong,
		Args: func(c *cobra.Command, args []string) error {
			if err := refuseUnsupported(c); err != nil { // whose values are not known to be such
				return err
			}
			return takes("INFILE", "OUTFILE")(c, args)
		},
		RunE: func(_ *cobra.Command, args []string) error { return s.run(args[0], args[1]) }}
	s.flags(c)
	unsupportedFlags(c)
	return c
}

const signLong = `Make a signed image of a program: a flat binary, such as Zephyr's build/zephyr/zephyr.bin.

A program built for MCUboot leaves room for the header: then --header-size says how much, CONFIG_ROM_START_OFFSET in Zephyr.
Otherwise --pad-header puts one in front. Images for a boot loader that swaps are sent without --pad and --confirm.`

func (s *signing) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&s.key, "key", "k", "", "private key (PEM) to sign with (required)")
	f.StringVarP(&s.version, "version", "v", "", "version of the image, major.minor.revision+build (required)")
	f.StringVarP(&s.header, "header-size", "H", "", "size of the header, such as 0x200 (required)")
	f.BoolVar(&s.padHeader, "pad-header", false, "put the header in front, instead of into room that was left for it")
	f.StringVarP(&s.slot, "slot-size", "S", "", "size of the slot; an image that does not fit beside its trailer is refused")
	f.BoolVar(&s.pad, "pad", false, "pad to the slot, with a trailer that asks for a trial")
	f.BoolVar(&s.confirm, "confirm", false, "the same, with a trailer that asks to keep the image")
	f.IntVar(&s.align, "align", 1, "what the flash writes at once: 1, 2, 4, 8, 16 or 32 bytes")
	f.IntVar(&s.maxAlign, "max-align", 0, "what the trailer's fields are padded to: 8, 16 or 32; default is --align, at least 8")
	f.IntVarP(&s.maxSectors, "max-sectors", "M", 128, "sectors of a slot that the boot loader was built for")
	f.BoolVar(&s.overwrite, "overwrite-only", false, "the boot loader overwrites instead of swapping")
	f.StringVarP(&s.counter, "security-counter", "s", "", "security counter; auto makes it of the version")
	f.StringVarP(&s.dependencies, "dependencies", "d", "", "images that must be there, as `(1, 1.2.3+0)`")
	f.StringVarP(&s.encrypt, "encrypt", "E", "", "public key (PEM) of the devices to encrypt for")
	f.IntVar(&s.keyBits, "encrypt-keylen", 128, "128 or 256 bits")
	f.StringVarP(&s.load, "load-addr", "L", "", "address in RAM that the image is copied to")
	f.StringVar(&s.romFixed, "rom-fixed", "", "address in flash that the image was built for")
	f.StringVarP(&s.erased, "erased-val", "R", "0xff", "what erased flash reads as: 0 or 0xff")
	f.BoolVar(&s.nonBootable, "non-bootable", false, "the image is not to be started")
	f.StringVar(&s.vendor, "vid", "", "vendor UUID, in hexadecimal")
	f.StringVar(&s.class, "cid", "", "class UUID, in hexadecimal")
	f.StringArrayVar(&s.custom, "custom-tlv", nil, "`TAG=VALUE`: a protected TLV, value a text or 0x and hexadecimal; repeat for several")
}

// unsupported are imgtool's flags that are refused, and why.
var unsupported = map[string]string{
	"public-key-format": "the key's hash goes in, as nearly every boot loader wants",
	"pad-sig":           "only boot loaders before 1.5 want it",
	"boot-record":       "measured boot is not written here",
	"endian":            "images are little-endian",
	"save-enctlv":       "give --slot-size as much less instead",
	"hex-addr":          "convert Intel HEX to a flat binary with objcopy -O binary first",
	"clear":             "sign without --encrypt for the primary slot",
	"vector-to-sign":    "sign with the key at hand",
	"fix-sig":           "sign with the key at hand",
	"fix-sig-pubkey":    "sign with the key at hand",
	"sig-out":           "sign with the key at hand",
	"sha":               "SHA-256 is used",
	"pure":              "Ed25519 signs the hash",
	"compression":       "compressed images are not written here",
	"manifest":          "manifests are not written here",
	"hmac-sha":          "SHA-256 is used",
}

func unsupportedFlags(c *cobra.Command) {
	for name := range unsupported {
		c.Flags().String(name, "", "")
		c.Flags().Lookup(name).NoOptDefVal = "yes"
		c.Flags().MarkHidden(name)
	}
}

func refuseUnsupported(c *cobra.Command) error {
	for name, why := range unsupported {
		if c.Flags().Changed(name) {
			return usage.Errorf("--%s is not supported: %s", name, why)
		}
	}
	return nil
}

func (s *signing) run(in, out string) error {
	spec, err := s.spec()
	if err != nil {
		return err
	}
	if strings.HasSuffix(strings.ToLower(in), ".hex") || strings.HasSuffix(strings.ToLower(out), ".hex") {
		return usage.Errorf("Intel HEX is not supported: take zephyr.bin, or convert with objcopy -I ihex -O binary")
	}
	program, err := atomicfile.Read(in, maxFile)
	if err != nil {
		return err
	}
	if spec.Payload, spec.ZeroHeader, err = s.payload(program, spec.HeaderSize); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	image, err := mcuboot.Sign(rand.Reader, spec)
	if err != nil {
		return err
	}
	if image, err = s.fit(image); err != nil {
		return err
	}
	return atomicfile.Write(out, image, 0o644)
}

// payload is the program without the room that it left for the header; such a
// header stays as blank as it was.
func (s *signing) payload(program []byte, header int) (payload []byte, zero bool, err error) {
	if s.padHeader {
		return program, s.erased != "0xff", nil
	}
	if len(program) <= header {
		return nil, false, fmt.Errorf("%d bytes, no more than the header of %d", len(program), header)
	}
	if len(bytes.Trim(program[:header], "\x00")) > 0 {
		return nil, false, fmt.Errorf("its first %d bytes are not zeros, so no room was left for a header: "+
			"build it for MCUboot (CONFIG_BOOTLOADER_MCUBOOT), or give --pad-header", header)
	}
	return program[header:], true, nil
}

func (s *signing) signer() (crypto.Signer, error) {
	if s.key == "" {
		return nil, usage.Errorf("sign with which key? --key PRIVATE; moult mcuboot key generate makes one")
	}
	key, err := readKey(s.key, mcuboot.ParsePrivateKey)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, usage.Errorf("%s is an X25519 key, which encrypts and does not sign", s.key)
	}
	return signer, nil
}
