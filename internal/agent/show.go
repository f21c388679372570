package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"

	"github.com/moult-ota/moult/internal/slot"
	"github.com/moult-ota/moult/internal/update"
)

// A picture is what show prints. It takes no lock: it may be a step old.
type picture struct {
	DeviceType string          `json:"device_type"`
	Running    string          `json:"running"`
	Provides   update.Provides `json:"provides"`
	Slots      []slotPicture   `json:"slots"`
	Trial      string          `json:"trial"`
	TriesLeft  uint8           `json:"tries_left"`
	Floor      uint32          `json:"floor"`
	VerifyKeys int             `json:"verify_keys"`
	Record     update.Record   `json:"record"`
	Problems   []string        `json:"problems"`
	Warnings   []string        `json:"warnings"`
}

// A slotPicture is one slot, as its descriptor and the register say.
type slotPicture struct {
	Slot     string `json:"slot"`
	Current  bool   `json:"current"`
	State    string `json:"state"`
	Reason   string `json:"reason,omitempty"`
	Artifact string `json:"artifact,omitempty"`
	Bytes    int64  `json:"bytes,omitempty"`
	Security uint32 `json:"security_version"`
}

func (p *program) show(ctx context.Context) (int, error) {
	if err := p.none(); err != nil {
		return 0, err
	}
	pic := p.look(ctx)
	if p.json {
		e := json.NewEncoder(p.stdout)
		e.SetIndent("", "  ")
		return exitOK, e.Encode(pic)
	}
	pic.print(p.stdout)
	return exitOK, nil
}

// look collects what can be seen; what cannot becomes a problem.
func (p *program) look(ctx context.Context) picture {
	pic := picture{DeviceType: p.config.DeviceType, Running: "none", Trial: "none", Problems: []string{}, Warnings: []string{}, Slots: []slotPicture{}}
	problem := func(err error) {
		if err != nil {
			pic.Problems = append(pic.Problems, err.Error())
		}
	}
	keys, err := p.config.verifiers()
	problem(err)
	if pic.VerifyKeys = len(keys); len(keys) == 0 {
		pic.Problems = append(pic.Problems, "no key to verify artifacts with: nothing will be installed; set verify_keys")
	}
	m, err := openMachine(ctx, p.config, slog.New(slog.DiscardHandler))
	if err != nil {
		problem(err)
		m = &machine{config: p.config}
	}
	defer m.close()
	text, err := FileStore(m.state("record.json")).Load()
	problem(err)
	pic.Record, err = update.Decode(text)
	problem(err)
	pic.Record.Running = m.running
	if pic.Provides = pic.Record.Provides(); pic.Provides == nil {
		pic.Provides = m.provides()
	}
	if f, ok := m.env.(frail); ok {
		pic.Warnings = append(pic.Warnings, f.why)
	}
	if m.env != nil {
		problem(pic.lookAtSlots(m))
	}
	return pic
}

func (pic *picture) lookAtSlots(m *machine) error {
	v, err := m.env.Load()
	if err != nil {
		return fmt.Errorf("read boot register: %w", err)
	}
	pic.Running, pic.Trial, pic.TriesLeft, pic.Floor = m.running.String(), v.Trial.String(), v.Tries, v.Floor
	for _, s := range []slot.Slot{slot.A, slot.B} {
		x := v.Slot(s)
		one := slotPicture{Slot: s.String(), Current: v.Current == s, State: x.State.String(), Reason: x.Reason.String(), Security: x.Image.Security}
		if d, err := m.describe(s); err == nil {
			one.Artifact, one.Bytes = d.Artifact, d.Length
		}
		pic.Slots = append(pic.Slots, one)
	}
	if v.Current == slot.None {
		return errBlank
	}
	return nil
}

// errBlank is a register that does not know what runs.
var errBlank = errors.New("the boot register names no current image; moult-agent provision puts a first one there")

func (pic *picture) print(w io.Writer) {
	fmt.Fprintf(w, "device type  %s\nrunning      slot %s\n", pic.DeviceType, pic.Running)
	for _, s := range pic.Slots {
		mark := " "
		if s.Current {
			mark = "*"
		}
		fmt.Fprintf(w, "slot %s     %s %s %s %s\n", s.Slot, mark, s.State, s.Artifact, s.Reason)
	}
	if pic.Trial != "none" {
		fmt.Fprintf(w, "on trial     slot %s, %d tries left\n", pic.Trial, pic.TriesLeft)
	}
	fmt.Fprintf(w, "floor        %d\nverify keys  %d\n", pic.Floor, pic.VerifyKeys)
	for _, key := range slices.Sorted(maps.Keys(pic.Provides)) {
		fmt.Fprintf(w, "provides     %s=%s\n", key, pic.Provides[key])
	}
	r := pic.Record
	fmt.Fprintf(w, "update       %s %s %s\n", r.Phase, r.Deployment, r.Artifact)
	if r.Last.State != "" {
		fmt.Fprintf(w, "last         %s %s %s\n", r.Last.State, r.Last.Deployment, r.Last.Detail)
	}
	for _, warning := range pic.Warnings {
		fmt.Fprintf(w, "warning      %s\n", warning)
	}
	for _, problem := range pic.Problems {
		fmt.Fprintf(w, "PROBLEM      %s\n", problem)
	}
}
