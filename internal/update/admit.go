package update

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/moult-ota/moult/artifact"
)

// A Gate is what an artifact is measured against before a byte of its payload
// is written. The signature was checked before that.
type Gate struct {
	Artifact   string // name that was offered; empty for any
	DeviceType string
	Installed  Provides
	Floor      uint32            // of the boot register, for images of a slot
	Floors     map[string]uint32 // of the record
}

// A Security is an artifact's claim to a floor.
type Security struct {
	Key   string // the provide that holds it; empty when there is none
	Floor uint32
}

// Admit returns nil when the artifact may be installed here, and else says
// why not. slots says that the payload is an image of a slot.
func (g Gate) Admit(h *artifact.Header, slots bool) (Security, error) {
	if g.Artifact != "" && h.Name != g.Artifact {
		return Security{}, fmt.Errorf("artifact is %q, %q was offered", h.Name, g.Artifact)
	}
	if len(h.Scripts) > 0 { // better than to leave out what its maker relies on
		return Security{}, fmt.Errorf("artifact carries state scripts (%s); this agent runs none", h.Scripts[0].Name)
	}
	has := maps.Clone(g.Installed)
	if has == nil {
		has = Provides{}
	}
	has["device_type"] = g.DeviceType
	if err := h.Satisfies(has); err != nil {
		return Security{}, err
	}
	return g.admitSecurity(h, slots)
}

// admitSecurity refuses what is older than something confirmed before, and
// what does not say how old it is when that matters.
func (g Gate) admitSecurity(h *artifact.Header, slots bool) (Security, error) {
	key, v, ok, err := h.SecurityVersion()
	switch {
	case err != nil:
		return Security{}, err
	case v > math.MaxUint32:
		return Security{}, fmt.Errorf("security version %d is over %d", v, uint32(math.MaxUint32))
	case slots && uint32(v) < g.Floor:
		return Security{}, fmt.Errorf("security version %s is below the rollback floor %d", said(v, ok), g.Floor)
	case ok && uint32(v) < g.Floors[key]:
		return Security{}, fmt.Errorf("%s=%d is below the rollback floor %d", key, v, g.Floors[key])
	}
	if floor := g.silent(h); floor != "" {
		return Security{}, fmt.Errorf("artifact has no %s, but the device has a rollback floor for it", floor)
	}
	return Security{key, uint32(v)}, nil
}

func said(v uint64, ok bool) string {
	if !ok {
		return "(none)"
	}
	return fmt.Sprint(v)
}

// silent returns a floor of software that the artifact brings, but without
// its security version.
func (g Gate) silent(h *artifact.Header) string {
	for _, key := range slices.Sorted(maps.Keys(g.Floors)) {
		software := strings.TrimSuffix(key, ".security_version")
		_, brings := h.Provides[software+".version"]
		if _, says := h.Provides[key]; brings && !says && g.Floors[key] > 0 {
			return key
		}
	}
	return ""
}
