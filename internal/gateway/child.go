package gateway

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/child/dfu"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/mcupayload"
	"github.com/moult-ota/moult/mcuboot"
)

// A Child is what a gateway can be told of one child.
type Child struct {
	ID             string
	DeviceType     string
	Driver         string
	Address        string
	Program        string
	Baud           int
	Alts           list
	FlashAddress   string
	VersionIn      string
	ResetBy        string
	Software       string
	ImageKeys      list
	ClassID        string
	Room           int64
	RefuseOlder    bool
	VersionCommand string
	ResetCommand   string
	ConfirmCommand string
	SelfTest       string
	CommandTime    time.Duration
	Away           time.Duration
	Settle         time.Duration
	Trial          time.Duration

	settings *flag.FlagSet
	usb      dfu.Bus // nil: this computer's
}

// newChild returns the defaults. Every setting has one line here.
func newChild() *Child {
	k := &Child{settings: flag.NewFlagSet("child", flag.ContinueOnError)}
	f := k.settings
	f.StringVar(&k.ID, "id", "", "its `name` behind this gateway; never changes")
	f.StringVar(&k.DeviceType, "device-type", "", "its `type`; artifacts name the types that they fit")
	f.StringVar(&k.Driver, "driver", "", "`how` it is reached: smp-serial, smp-udp, dfu, dfu-util, exec")
	f.StringVar(&k.Address, "address", "", "`where` it is: smp-serial: a serial port; smp-udp: host:port; dfu, dfu-util: vendor:product@port path, as in 2fe3:0100@1-1.2; exec: what its program understands")
	f.StringVar(&k.Program, "program", "", "exec: the `program`; see child/exec/CONTRACT.md. dfu-util: where that is")
	f.IntVar(&k.Baud, "baud", 115200, "smp-serial: `bits` per second")
	f.Var(&k.Alts, "alts", "dfu, dfu-util: `names` of alternate settings, the first that is there is taken; empty: image_1, slot1_image")
	f.StringVar(&k.FlashAddress, "flash-address", "", "dfu, dfu-util: `address` of the image, where a device speaks DfuSe")
	f.StringVar(&k.VersionIn, "version-in", "", "dfu, dfu-util: `where` the running version is: empty: USB strings, as 1.2.3; bcd, bcd3: bcdDevice as JJ.NN or JJ.M.N; else a regular expression with one group over the strings")
	f.StringVar(&k.ResetBy, "reset-by", "", "dfu, dfu-util: `how` it restarts over USB: port: by a reset of its port; detach: by DETACH and such a reset; empty: not, so that reset_command is needed")
	f.StringVar(&k.Software, "software", mcupayload.Type, "`name` before .version in what artifacts provide")
	f.Var(&k.ImageKeys, "image-keys", "PEM `files` of the keys that may sign its images; none: its boot loader alone checks them")
	f.StringVar(&k.ClassID, "class-id", "", "`UUID` of the board that images must carry, hex; empty: any")
	f.Int64Var(&k.Room, "room", 0, "`bytes` of a slot; 0: not known")
	f.BoolVar(&k.RefuseOlder, "refuse-older", false, "its boot loader refuses older versions: do not send them")
	f.StringVar(&k.VersionCommand, "version-command", "", "`program` that prints the running version, where the bus does not tell")
	f.StringVar(&k.ResetCommand, "reset-command", "", "`program` that resets it, where the bus cannot")
	f.StringVar(&k.ConfirmCommand, "confirm-command", "", "`program` that confirms the running image, where the bus cannot")
	f.StringVar(&k.SelfTest, "self-test", "", "`program` that must exit 0 before a new image is confirmed")
	f.DurationVar(&k.CommandTime, "command-time", 5*time.Minute, "`time` that each of these programs has")
	f.DurationVar(&k.Away, "away", 2*time.Minute, "`time` that it may be away after a reset")
	f.DurationVar(&k.Settle, "settle", 30*time.Second, "`time` that an image has to confirm itself, where it does that")
	f.DurationVar(&k.Trial, "trial", 0, "`time` instead of the gateway's trial; 0: that")
	return k
}

// check refuses what cannot work; it does not look at the bus.
func (k *Child) check() error {
	switch {
	case !names.MatchString(k.ID):
		return errors.New("id: want a name of letters, digits, dots, dashes and underscores")
	case k.DeviceType == "" || len(k.DeviceType) > device.MaxType:
		return fmt.Errorf("device_type: want 1 to %d bytes", device.MaxType)
	case k.Software == "":
		return errors.New("software: want a name, as artifacts for it have before .version")
	}
	if _, err := k.classID(); err != nil {
		return err
	}
	return k.checkDriver()
}

func (k *Child) classID() ([]byte, error) {
	if k.ClassID == "" {
		return nil, nil
	}
	text := make([]byte, 0, len(k.ClassID))
	for _, c := range []byte(k.ClassID) {
		if c != '-' {
			text = append(text, c)
		}
	}
	id, err := hex.DecodeString(string(text))
	if err != nil || len(id) != 16 {
		return nil, fmt.Errorf("class_id %.80q: want a UUID", k.ClassID)
	}
	return id, nil
}

// maxKey bounds a PEM file, in bytes.
const maxKey = 64 << 10

// imageKeys reads the keys of images. One that cannot be read is an error:
// without it images would go unchecked.
func (k *Child) imageKeys() (keys []mcuboot.PublicKey, err error) {
	for _, path := range k.ImageKeys {
		text, err := atomicfile.Read(path, maxKey)
		if err != nil {
			return nil, fmt.Errorf("read image key: %w", err)
		}
		key, err := mcuboot.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("read image key %s: %w", path, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
