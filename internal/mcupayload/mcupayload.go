// Package mcupayload is what an artifact of payload type mcuboot-image says of
// the MCUboot image in it, and whether it says the truth. Who writes such
// artifacts and who takes them in share it.
//
//	<software>.version            as the image's header has it
//	<software>.hash               the image's hash, in hexadecimal; SMP names images by it
//	<software>.security_version   the image's security counter, if it has one
package mcupayload

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/moult-ota/moult/mcuboot"
)

// Type is the payload type, and the software's name when no other is chosen.
const Type = "mcuboot-image"

// maxFile bounds a payload file: a header, a payload, TLVs, and a slot's rest,
// in bytes.
const maxFile = mcuboot.MaxImage + 1<<20

const (
	versionSuffix = ".version"
	hashSuffix    = ".hash"
	counterSuffix = ".security_version"
)

// ErrPadded is an image that a slot's trailer follows.
var ErrPadded = errors.New("image is padded to its slot")

// Read reads the one file of a payload; its memory is bounded by the largest
// image, and by what r really has. The error is ErrPadded, and the image is
// there, when something follows it.
func Read(r io.Reader) (*mcuboot.Image, error) {
	p, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(p) > maxFile {
		return nil, fmt.Errorf("%w: more than %d bytes", mcuboot.ErrFormat, maxFile)
	}
	im, rest, err := mcuboot.Parse(p)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: %d bytes follow it; a boot loader that swaps takes the trailer from the application, "+
			"so sign without --pad and --confirm", ErrPadded, len(rest))
	}
	return im, err
}

// Check returns nil when the image has its hash and, if there are keys, is
// signed by one of them. Without keys the hash of an encrypted image is left to
// its device, which alone can know it.
func Check(im *mcuboot.Image, keys []mcuboot.PublicKey) error {
	if len(keys) > 0 {
		return im.Verify(keys...)
	}
	if err := im.CheckHash(); !errors.Is(err, mcuboot.ErrEncrypted) {
		return err
	}
	if im.Hash() == nil {
		return mcuboot.ErrHash
	}
	return nil
}

// Signed reports whether the image has a signature, by whatever key.
func Signed(im *mcuboot.Image) bool {
	for _, t := range im.Unprotected {
		switch t.Type {
		case mcuboot.TypeECDSA, mcuboot.TypeEd25519, mcuboot.TypeRSA2048, mcuboot.TypeRSA3072:
			return true
		}
	}
	return false
}

// Provides is what an artifact with the image provides as software.
func Provides(software string, im *mcuboot.Image) map[string]string {
	p := map[string]string{software + versionSuffix: im.Header.Version.String(), software + hashSuffix: hex.EncodeToString(im.Hash())}
	if n, ok := im.SecurityCounter(); ok {
		p[software+counterSuffix] = strconv.FormatUint(uint64(n), 10)
	}
	return p
}

// Agree returns nil when provides says what the image is. The software is the
// one with a hash, else Type; the hash alone may be missing.
func Agree(provides map[string]string, im *mcuboot.Image) error {
	software, err := softwareOf(provides)
	if err != nil {
		return err
	}
	v, err := mcuboot.ParseVersion(provides[software+versionSuffix])
	if err != nil || v != im.Header.Version {
		return fmt.Errorf("artifact provides %s %q, but the image is %v; write it with `moult artifact write mcuboot-image`",
			software+versionSuffix, provides[software+versionSuffix], im.Header.Version)
	}
	want := Provides(software, im)
	if said, ok := provides[software+hashSuffix]; ok {
		if b, err := hex.DecodeString(said); err != nil || !bytes.Equal(b, im.Hash()) {
			return fmt.Errorf("artifact provides %s %s, but the image has %s", software+hashSuffix, said, want[software+hashSuffix])
		}
	}
	if said, has := provides[software+counterSuffix], want[software+counterSuffix]; said != has {
		return fmt.Errorf("artifact provides %s %q, but the image's security counter is %q", software+counterSuffix, said, has)
	}
	return nil
}

func softwareOf(provides map[string]string) (string, error) {
	software := ""
	for key := range provides {
		name, ok := strings.CutSuffix(key, hashSuffix)
		if ok && software != "" {
			return "", fmt.Errorf("artifact provides both %s and %s: one image has one", min(name, software)+hashSuffix, max(name, software)+hashSuffix)
		}
		if ok {
			software = name
		}
	}
	if software == "" {
		software = Type
	}
	return software, nil
}
