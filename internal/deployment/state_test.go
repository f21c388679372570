package deployment

import (
	"errors"
	"testing"

	"github.com/moult-ota/moult/internal/device"
)

func ids(n int) []device.ID { return make([]device.ID, n) }

func TestAdvance(t *testing.T) {
	tests := []struct {
		name     string
		from, to State
		want     State
		err      error
	}{
		{"a step", Offered, Downloading, Downloading, nil},
		{"steps left out", Offered, Rebooting, Rebooting, nil},
		{"the same again", Installing, Installing, Installing, nil},
		{"download starts again after a power cut", Installing, Downloading, Downloading, nil},
		{"late report of an earlier step", Trying, Downloading, Trying, nil},
		{"late report while rebooting", Rebooting, Downloading, Rebooting, nil},
		{"installing after rebooting is the trial", Rebooting, Installing, Trying, nil},
		{"installing during the trial", Trying, Installing, Trying, nil},
		{"success", Trying, Done, Done, nil},
		{"success without a trial", Installing, Done, Done, nil},
		{"refused before anything", Offered, Refused, Refused, nil},
		{"rolled back", Trying, RolledBack, RolledBack, nil},
		{"success said twice", Done, Done, Done, nil},
		{"failure after success", Done, Failed, Done, ErrEnded},
		{"a step after the end", RolledBack, Trying, RolledBack, ErrEnded},
		{"a step after cancel", Canceled, Installing, Canceled, ErrCanceled},
		{"success after cancel", Canceled, Done, Canceled, ErrCanceled},
		{"a device cannot cancel", Downloading, Canceled, Downloading, ErrState},
		{"a device cannot be pending", Downloading, Pending, Downloading, ErrState},
		{"a device cannot offer itself", Pending, Offered, Pending, ErrState},
		{"an unknown state", Downloading, "flying", Downloading, ErrState},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Advance(tt.from, tt.to)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("Advance(%s, %s) = %s, %v, want %s, %v", tt.from, tt.to, got, err, tt.want, tt.err)
			}
		})
	}
}

// TestEndsStay: whatever is reported, an end is not left, and no report makes
// an operator's states.
func TestEndsStay(t *testing.T) {
	for _, from := range States {
		for _, to := range States {
			got, err := Advance(from, to)
			if from.Final() && got != from {
				t.Errorf("Advance(%s, %s) = %s leaves an end", from, to, got)
			}
			if got != from && (got == Pending || got == Offered || got == Canceled) {
				t.Errorf("Advance(%s, %s) = %s, which devices cannot report", from, to, got)
			}
			if err != nil && got != from {
				t.Errorf("Advance(%s, %s) = %s with error %v", from, to, got, err)
			}
		}
	}
}

func TestTargetCheck(t *testing.T) {
	tests := []struct {
		name string
		in   Target
		ok   bool
	}{
		{"all", Target{Kind: All}, true},
		{"type", Target{Kind: ByType, Type: "rpi"}, true},
		{"devices", Target{Kind: ByIDs, Devices: ids(1)}, true},
		{"as many devices as may be", Target{Kind: ByIDs, Devices: ids(MaxDevices)}, true},
		{"filter", Target{Kind: ByQuery, Filter: "site:oslo"}, true},
		{"nothing said", Target{}, false},
		{"unknown kind", Target{Kind: "some"}, false},
		{"no type", Target{Kind: ByType}, false},
		{"no devices", Target{Kind: ByIDs}, false},
		{"too many devices", Target{Kind: ByIDs, Devices: ids(MaxDevices + 1)}, false},
		{"empty filter", Target{Kind: ByQuery}, false},
		{"all and a type", Target{Kind: All, Type: "rpi"}, false},
		{"a type and devices", Target{Kind: ByType, Type: "rpi", Devices: ids(1)}, false},
		{"devices and a filter", Target{Kind: ByIDs, Devices: ids(1), Filter: "a:b"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.in.Check()
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrTarget) {
				t.Errorf("Check() = %v, want ok %v", err, tt.ok)
			}
		})
	}
}
