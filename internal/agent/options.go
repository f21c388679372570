package agent

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/slot"
)

// A Store keeps one small value.
type Store interface {
	// Load returns what was last saved, and nil when nothing was.
	Load() ([]byte, error)
	// Save replaces the value atomically: after a power cut Load returns the
	// old one or the new one. When Save returned nil: the new one.
	Save([]byte) error
}

// Options say what an Agent works with. Fields without a remark about their
// zero value are needed.
type Options struct {
	Identity   device.Identity
	DeviceType string
	Key        crypto.Signer       // proves the device to its server
	Verifiers  []artifact.Verifier // whose artifacts it installs; none: it refuses all

	// Provides is what the running image provides when the record does not
	// say: on a device that was never updated. artifact_name is usual.
	Provides map[string]string

	Record     Store                                 // the engine's only state
	LogFile    Store                                 // the log of the update under way; nil keeps it in memory
	Boot       boot.Env                              // nil: a device without slots
	BootID     string                                // differs from boot to boot; empty when not known
	Running    slot.Slot                             // the slot that was booted; None without slots
	Open       func(slot.Slot) (slot.File, error)    // opens a slot to write; nil: without slots
	Modules    string                                // folder of update modules; empty: none
	ModuleWork string                                // folder where modules work; needed with Modules
	Installers map[string]Maker                      // of other payload types; nil: none
	Health     func(ctx context.Context) error       // self-test of a new image; nil passes
	Extra      func() inventory.Attributes           // more inventory; nil: none
	Lock       func(context.Context) (func(), error) // held while not waiting; nil: none needed

	// Link reaches the server; nil means Servers do. Addresses with mqtts are
	// asked first, those with https when no broker answers.
	Link      link.Link
	Servers   []string          // addresses, the next one when one does not answer
	Token     string            // enrolment token; empty for none
	Transport http.RoundTripper // nil means http.DefaultTransport
	MQTT      MQTT              // for servers behind a broker

	Poll      time.Duration // between polls; 0 means 30 minutes
	Inventory time.Duration // between inventory reports; 0 means 8 hours
	Retry     time.Duration // first wait after an error; 0 means 10 seconds
	RetryMax  time.Duration // longest wait after an error; 0 means 10 minutes
	Report    time.Duration // between reports of download progress; 0 means 20 seconds
	Trial     time.Duration // for a new image to prove itself; 0 means 15 minutes
	Tries     uint8         // boots of a new image before it is given up; 0 means boot.DefaultTries

	// Ahead reads an artifact on while what came is written: faster, but no
	// longer one thing after another. Watch is then called from elsewhere.
	Ahead bool

	Now   func() time.Time                                 // nil means a steady time.Now
	Sleep func(ctx context.Context, d time.Duration) error // nil means by the clock
	Rand  *rand.Rand                                       // jitter; nil means seeded by chance
	Log   *slog.Logger                                     // nil means none

	// Watch is told of every state and of download progress; nil means nobody.
	Watch func(Sight)
}

// A Maker makes an installer. note adds a line to the log of the update.
type Maker func(note func(level, message string)) install.Installer

// MQTT is what servers behind a broker need besides.
type MQTT struct {
	Session    Store    // keys and numbers of sessions; needed
	Cache      string   // folder for downloads; needed
	ServerKeys []string // as moult server session-keys prints them; none: those of the first answer
	TLS        *tls.Config
	Metered    bool                                                     // keep traffic low
	Dial       func(ctx context.Context, addr string) (net.Conn, error) // nil: TCP
}

// A Sight is what an onlooker sees of an update under way.
type Sight struct {
	State        deployment.State // empty while there is none
	Detail       string
	Bytes, Total int64 // of the artifact, while downloading
}

// ErrReboot is returned by Run when the device must boot: boot it, and run a
// new Agent on what comes up.
var ErrReboot = errors.New("reboot wanted")

// withDefaults fills in what may be zero.
func (o Options) withDefaults() Options {
	fill(&o.Poll, 30*time.Minute)
	fill(&o.Inventory, 8*time.Hour)
	fill(&o.Retry, 10*time.Second)
	fill(&o.RetryMax, 10*time.Minute)
	fill(&o.Report, 20*time.Second)
	fill(&o.Trial, 15*time.Minute)
	if o.Now == nil {
		o.Now = steadyClock()
	}
	if o.Sleep == nil {
		o.Sleep = link.Sleep
	}
	if o.Rand == nil {
		o.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Watch == nil {
		o.Watch = func(Sight) {}
	}
	if o.Lock == nil {
		o.Lock = func(context.Context) (func(), error) { return func() {}, nil }
	}
	return o
}

func fill(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}

// steadyClock is the time of the start plus what has passed since: a device
// without a battery is set from 1970 to today during its trial, and that must
// not end the trial.
func steadyClock() func() time.Time {
	start := time.Now()
	return func() time.Time { return start.Add(time.Since(start)) }
}

// check refuses options that no agent can run with.
func (o Options) check() error {
	switch {
	case o.DeviceType == "" || len(o.DeviceType) > device.MaxType:
		return fmt.Errorf("start agent: device type of %d bytes, want 1 to %d", len(o.DeviceType), device.MaxType)
	case o.Record == nil:
		return errors.New("start agent: no store for its record")
	case (o.Boot == nil) != (o.Open == nil):
		return errors.New("start agent: slots and boot register come together")
	case o.Boot != nil && !o.Running.Valid():
		return errors.New("start agent: cannot tell which slot runs")
	}
	return nil
}
