// Package mcubootcmd holds the command `moult mcuboot`: signing, checking and
// reading images for MCUboot at a desk, and making keys for them. Flags are
// named as imgtool's where they mean the same; those that mean more than this
// package can do are refused by name.
//
// Errors that mean more than 1 have a method ExitCode: 2 for wrong usage, 8
// when a signature or a hash is wrong.
package mcubootcmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/cli/usage"
	"github.com/moult-ota/moult/mcuboot"
)

// Limits of what is read, in bytes. A file may be padded to a slot.
const (
	maxFile = mcuboot.MaxImage + 1<<20
	maxKey  = 64 << 10
)

// Command returns `moult mcuboot`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:   "mcuboot",
		Short: "Sign, verify and read images for the boot loader MCUboot",
		Long:  "Sign, verify and read images for the boot loader MCUboot, and make keys for it.\nFlags have the names that they have in imgtool.",
	}
	key := &cobra.Command{Use: "key", Short: "Make keys that sign and encrypt images, and print their public halves"}
	key.AddCommand(generateCommand(), publicCommand())
	c.AddCommand(signCommand(), verifyCommand(), infoCommand(), key)
	return usage.Strict(c)
}

// verdict gives an error of package mcuboot its exit code.
func verdict(err error) error {
	for _, class := range []error{mcuboot.ErrHash, mcuboot.ErrSignature, mcuboot.ErrUnsigned, mcuboot.ErrEncrypted, mcuboot.ErrRecipient} {
		if errors.Is(err, class) {
			return usage.Coded(err, usage.ExitVerify)
		}
	}
	return err
}

// takes wants exactly the arguments named.
func takes(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usage.Errorf("%s wants %d arguments %v, got %d", c.CommandPath(), len(names), names, len(args))
		}
		return nil
	}
}

func readKey[K any](path string, parse func([]byte) (K, error)) (key K, err error) {
	text, err := atomicfile.Read(path, maxKey)
	if err != nil {
		return key, err
	}
	if key, err = parse(text); err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return key, err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
