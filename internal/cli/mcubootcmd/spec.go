package mcubootcmd

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/moult-ota/moult/internal/cli/usage"
	"github.com/moult-ota/moult/mcuboot"
)

// spec is what the flags say of the image, without its payload.
func (s *signing) spec() (spec mcuboot.Spec, err error) {
	for _, step := range []func(*mcuboot.Spec) error{s.fillRequired, s.fillCounter, s.fillDependencies, s.fillAddress, s.fillFlags, s.fillIDs, s.fillEncryption} {
		if err := step(&spec); err != nil {
			return spec, err
		}
	}
	return spec, nil
}

func (s *signing) fillRequired(spec *mcuboot.Spec) (err error) {
	if spec.Key, err = s.signer(); err != nil {
		return err
	}
	if s.version == "" {
		return usage.Errorf("which version is it? --version 1.2.3")
	}
	if spec.Version, err = mcuboot.ParseVersion(s.version); err != nil {
		return usage.Errorf("--version: %w", err)
	}
	if s.header == "" {
		return usage.Errorf("how long is the header? --header-size 0x200, as CONFIG_ROM_START_OFFSET says")
	}
	n, err := number("header-size", s.header, 16)
	if err == nil && n < mcuboot.HeaderSize {
		err = usage.Errorf("--header-size %s: at least %d", s.header, mcuboot.HeaderSize)
	}
	spec.HeaderSize = int(n)
	return err
}

// number reads decimal, or hexadecimal with 0x.
func number(flag, text string, bits int) (uint64, error) {
	n, err := strconv.ParseUint(text, 0, bits)
	if err != nil {
		return 0, usage.Errorf("--%s %q: want a number of at most %d bits", flag, text, bits)
	}
	return n, nil
}

func (s *signing) fillCounter(spec *mcuboot.Spec) error {
	v := spec.Version
	n := uint32(v.Major)<<24 + uint32(v.Minor)<<16 + uint32(v.Revision)
	switch s.counter {
	case "":
		return nil
	case "auto":
	default:
		given, err := number("security-counter", s.counter, 32)
		if err != nil {
			return err
		}
		n = uint32(given)
	}
	spec.Counter = &n
	return nil
}

var dependencyForm = regexp.MustCompile(`^\(\s*([0-9]+)\s*,\s*([0-9.+]+)\s*\)[\s,]*`)

func (s *signing) fillDependencies(spec *mcuboot.Spec) error {
	for rest := strings.TrimSpace(s.dependencies); rest != ""; {
		m := dependencyForm.FindStringSubmatch(rest)
		if m == nil {
			return usage.Errorf("--dependencies %q: want (1, 1.2.3+0), and more of them", s.dependencies)
		}
		rest = rest[len(m[0]):]
		image, err := number("dependencies", m[1], 8)
		if err != nil {
			return err
		}
		v, err := mcuboot.ParseVersion(m[2])
		if err != nil {
			return usage.Errorf("--dependencies: %w", err)
		}
		spec.Dependencies = append(spec.Dependencies, mcuboot.Dependency{Image: uint8(image), Version: v})
	}
	return nil
}

func (s *signing) fillAddress(spec *mcuboot.Spec) error {
	if s.load != "" && s.romFixed != "" {
		return usage.Errorf("--load-addr and --rom-fixed are of different boot loaders: give one")
	}
	for _, a := range []struct {
		flag, text string
		bit        uint32
	}{{"load-addr", s.load, mcuboot.FlagRAMLoad}, {"rom-fixed", s.romFixed, mcuboot.FlagROMFixed}} {
		if a.text == "" {
			continue
		}
		n, err := number(a.flag, a.text, 32)
		if err != nil {
			return err
		}
		spec.LoadAddress, spec.Flags = uint32(n), a.bit
	}
	return nil
}

func (s *signing) fillFlags(spec *mcuboot.Spec) error {
	if s.nonBootable {
		spec.Flags |= mcuboot.FlagNonBootable
	}
	switch s.erased {
	case "0", "0x00":
		s.erased = "0"
	case "0xff", "255":
		s.erased = "0xff"
	default:
		return usage.Errorf("--erased-val %s: want 0 or 0xff", s.erased)
	}
	return nil
}

func (s *signing) fillIDs(spec *mcuboot.Spec) (err error) {
	if spec.VendorID, err = uuid("vid", s.vendor); err != nil {
		return err
	}
	if spec.ClassID, err = uuid("cid", s.class); err != nil {
		return err
	}
	for _, text := range s.custom {
		tag, value, ok := strings.Cut(text, "=")
		if !ok {
			return usage.Errorf("--custom-tlv %q: want TAG=VALUE, in one word", text)
		}
		n, err := number("custom-tlv", tag, 16)
		if err != nil {
			return err
		}
		v := []byte(value)
		if digits, ok := strings.CutPrefix(value, "0x"); ok {
			if v, err = hex.DecodeString(digits); err != nil {
				return usage.Errorf("--custom-tlv %s: %w", tag, err)
			}
		}
		spec.Custom = append(spec.Custom, mcuboot.TLV{Type: mcuboot.Type(n), Value: v})
	}
	return nil
}

func uuid(flag, text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	id, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(id) != 16 {
		return nil, usage.Errorf("--%s %q: want a UUID of 32 hexadecimal digits; imgtool's names are not known here", flag, text)
	}
	return id, nil
}

func (s *signing) fillEncryption(spec *mcuboot.Spec) error {
	if s.keyBits != 128 && s.keyBits != 256 {
		return usage.Errorf("--encrypt-keylen %d: want 128 or 256", s.keyBits)
	}
	if s.encrypt == "" {
		return nil
	}
	key, err := readKey(s.encrypt, mcuboot.ParsePublicKey)
	if err != nil {
		return fmt.Errorf("--encrypt: %w", err)
	}
	spec.EncryptFor, spec.AES256 = &key, s.keyBits == 256
	return nil
}
