package mcubootcmd

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/mcuboot"
)

// open parses an image, and decrypts it when there is a key for that.
func open(path, device string) (im *mcuboot.Image, rest []byte, err error) {
	p, err := atomicfile.Read(path, maxFile)
	if err != nil {
		return nil, nil, err
	}
	if im, rest, err = mcuboot.Parse(p); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if device == "" {
		return im, rest, nil
	}
	key, err := readKey(device, mcuboot.ParsePrivateKey)
	if err != nil {
		return nil, nil, err
	}
	if im, err = im.Decrypt(key); err != nil {
		err = fmt.Errorf("%s: %w", path, verdict(err))
	}
	return im, rest, err
}

func verifyCommand() *cobra.Command {
	var keys []string
	var device string
	c := &cobra.Command{Use: "verify FILE", Short: "Check an image: its hash, and with --key its signature", Args: takes("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			im, _, err := open(args[0], device)
			if err != nil {
				return err
			}
			said, err := check(im, keys)
			if errors.Is(err, mcuboot.ErrEncrypted) {
				err = fmt.Errorf("%w; give it with --decrypt", err)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], verdict(err))
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is valid, version %v, %s\n", args[0], im.Header.Version, said)
			return nil
		}}
	c.Flags().StringArrayVarP(&keys, "key", "k", nil, "public key (PEM) that must have signed it; repeat to accept any of several")
	c.Flags().StringVar(&device, "decrypt", "", "private key (PEM) of the device that it was encrypted for")
	return c
}

func check(im *mcuboot.Image, paths []string) (said string, err error) {
	var keys []mcuboot.PublicKey
	for _, path := range paths {
		key, err := readKey(path, mcuboot.ParsePublicKey)
		if err != nil {
			return "", err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return "its signature not verified: give the public key with --key", im.CheckHash()
	}
	return "signed and verified", im.Verify(keys...)
}

// An about is an image as `info --json` prints it.
type about struct {
	Version      string            `json:"version"`
	Hash         string            `json:"hash"`
	HashValid    *bool             `json:"hash_valid"` // null: encrypted
	Size         int               `json:"size"`
	HeaderSize   int               `json:"header_size"`
	PayloadSize  int               `json:"payload_size"`
	LoadAddress  uint32            `json:"load_address,omitempty"`
	Flags        []string          `json:"flags"`
	Encrypted    bool              `json:"encrypted"`
	Counter      *uint32           `json:"security_counter,omitempty"`
	Dependencies map[string]string `json:"dependencies,omitempty"` // version by image
	Protected    []entry           `json:"protected_tlvs"`
	Unprotected  []entry           `json:"tlvs"`
	After        int               `json:"bytes_after,omitempty"` // the rest of a slot
}

// An entry is one TLV.
type entry struct {
	Type  string `json:"type"`
	Value string `json:"value"` // in hexadecimal
}

func infoCommand() *cobra.Command {
	var device string
	var asJSON bool
	c := &cobra.Command{Use: "info FILE", Short: "Print what an image is", Args: takes("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			im, rest, err := open(args[0], device)
			if err != nil {
				return err
			}
			a, err := aboutOf(im, len(rest))
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(c.OutOrStdout(), a)
			}
			printAbout(c.OutOrStdout(), a)
			return nil
		}}
	c.Flags().StringVar(&device, "decrypt", "", "private key (PEM) of the device that it was encrypted for")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func aboutOf(im *mcuboot.Image, after int) (about, error) {
	h := im.Header
	a := about{Version: h.Version.String(), Hash: hex.EncodeToString(im.Hash()), Size: im.Size(), HeaderSize: int(h.Size),
		PayloadSize: int(h.PayloadSize), LoadAddress: h.LoadAddress, Flags: flagNames(h.Flags), Encrypted: h.Encrypted(),
		Protected: entries(im.Protected), Unprotected: entries(im.Unprotected), After: after}
	if !h.Encrypted() {
		valid := im.CheckHash() == nil
		a.HashValid = &valid
	}
	if n, ok := im.SecurityCounter(); ok {
		a.Counter = &n
	}
	needs, err := im.Dependencies()
	for _, d := range needs {
		if a.Dependencies == nil {
			a.Dependencies = map[string]string{}
		}
		a.Dependencies[fmt.Sprint(d.Image)] = d.Version.String()
	}
	return a, err
}

func entries(all []mcuboot.TLV) []entry {
	out := []entry{}
	for _, t := range all {
		out = append(out, entry{t.Type.String(), hex.EncodeToString(t.Value)})
	}
	return out
}

func flagNames(flags uint32) []string {
	names := []string{}
	for i, name := range []string{0: "pic", 2: "aes-128", 3: "aes-256", 4: "non-bootable", 5: "ram-load", 8: "rom-fixed", 9: "lzma1", 10: "lzma2", 11: "thumb"} {
		if name != "" && flags&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

func printAbout(w io.Writer, a about) {
	line := func(label string, value any) { fmt.Fprintf(w, "%-18s %v\n", label, value) }
	line("version", a.Version)
	state := "not checked: the image is encrypted"
	if a.HashValid != nil {
		state = map[bool]string{true: "valid", false: "WRONG: the image was changed"}[*a.HashValid]
	}
	line("hash", a.Hash+" ("+state+")")
	line("size", fmt.Sprintf("%d bytes: header %d, payload %d", a.Size, a.HeaderSize, a.PayloadSize))
	if a.LoadAddress != 0 {
		line("address", fmt.Sprintf("%#x", a.LoadAddress))
	}
	if len(a.Flags) > 0 {
		line("flags", strings.Join(a.Flags, ", "))
	}
	if a.Counter != nil {
		line("security counter", *a.Counter)
	}
	for _, image := range slices.Sorted(maps.Keys(a.Dependencies)) {
		line("needs", "image "+image+", at least "+a.Dependencies[image])
	}
	for _, e := range a.Protected {
		line("protected TLV", fmt.Sprintf("%s, %d bytes", e.Type, len(e.Value)/2))
	}
	for _, e := range a.Unprotected {
		line("TLV", fmt.Sprintf("%s, %d bytes", e.Type, len(e.Value)/2))
	}
	if a.After > 0 {
		line("followed by", fmt.Sprintf("%d bytes: a slot's rest and trailer", a.After))
	}
}
