package update_test

import (
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/update"
)

func TestAdmit(t *testing.T) {
	const security, version = "rootfs-image.security_version", "rootfs-image.version"
	gate := update.Gate{
		Artifact: "fw-2", DeviceType: "bench", Floor: 3, Floors: map[string]uint32{security: 3, "app.security_version": 5},
		Installed: update.Provides{"artifact_name": "fw-1"},
	}
	header := func(provides ...string) *artifact.Header {
		h := &artifact.Header{Name: "fw-2", Provides: map[string]string{version: "2"}, Depends: map[string][]string{"device_type": {"bench"}}}
		for i := 0; i < len(provides); i += 2 {
			h.Provides[provides[i]] = provides[i+1]
		}
		return h
	}
	with := func(h *artifact.Header, change func(*artifact.Header)) *artifact.Header { change(h); return h }
	tests := []struct {
		name  string
		h     *artifact.Header
		slots bool
		want  string // in the refusal; empty: admitted
	}{
		{"same floor", header(security, "3"), true, ""},
		{"higher floor", header(security, "4"), true, ""},
		{"lower floor", header(security, "2"), true, "below the rollback floor 3"},
		{"no floor", header(), true, "(none) is below"},
		{"floor is no number", header(security, "three"), true, "not a decimal number"},
		{"floor beyond the register", header(security, "4294967299"), true, "over 4294967295"},
		{"other name than offered", with(header(security, "3"), func(h *artifact.Header) { h.Name = "fw-3" }), true, "was offered"},
		{"other device type", with(header(security, "3"), func(h *artifact.Header) { h.Depends["device_type"] = []string{"toaster"} }), true, "device_type"},
		{"depends on what is not there", with(header(security, "3"), func(h *artifact.Header) { h.Depends["artifact_name"] = []string{"fw-0"} }), true, "artifact_name"},
		{"scripts", with(header(security, "3"), func(h *artifact.Header) {
			h.Scripts = []artifact.Script{{Name: "ArtifactInstall_Enter_00"}}
		}), true, "state scripts"},
		{"module, lower floor", header("app.security_version", "4"), false, "below the rollback floor 5"},
		{"module, silent about its floor", header("app.version", "9", security, "3"), false, "no app.security_version"},
		{"module without a floor", with(header(), func(h *artifact.Header) { h.Provides = map[string]string{"tool.version": "1"} }), false, ""},
	}
	for _, tt := range tests {
		_, err := gate.Admit(tt.h, tt.slots)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: Admit() = %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, changed := gate.Installed["device_type"]; changed {
		t.Error("Admit changed what is installed")
	}
}
