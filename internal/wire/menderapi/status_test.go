package menderapi

import (
	"errors"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
)

func TestStatus(t *testing.T) {
	tests := map[string]struct {
		progress fleet.Progress
		want     Status
	}{
		"plain":       {fleet.Progress{State: deployment.Installing}, Status{"installing", ""}},
		"words":       {fleet.Progress{State: deployment.Failed, Detail: "disk full"}, Status{"failure", "disk full"}},
		"bytes":       {fleet.Progress{State: deployment.Downloading, Bytes: 77}, Status{"downloading", "moult:downloading bytes=77"}},
		"trying":      {fleet.Progress{State: deployment.Trying}, Status{"installing", "moult:trying"}},
		"rolled back": {fleet.Progress{State: deployment.RolledBack, Detail: "no network"}, Status{"failure", "moult:rolled-back no network"}},
		"refused":     {fleet.Progress{State: deployment.Refused, Detail: "bytes=1 is no count"}, Status{"failure", "moult:refused bytes=0 bytes=1 is no count"}},
		"done":        {fleet.Progress{State: deployment.Done}, Status{"success", ""}},
		"skipped":     {fleet.Progress{State: deployment.Skipped}, Status{"already-installed", ""}},
		"own mark":    {fleet.Progress{State: deployment.Failed, Detail: "moult:refused x"}, Status{"failure", "moult:failed moult:refused x"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := NewStatus(tt.progress)
			if err != nil || got != tt.want {
				t.Errorf("NewStatus(%+v) = %+v, %v, want %+v", tt.progress, got, err, tt.want)
			}
			again, err := ParseStatus(got.Append(nil))
			if err != nil || again != got {
				t.Errorf("ParseStatus(Append) = %+v, %v, want %+v", again, err, got)
			}
			tt.progress.Deployment = "d"
			if p, err := got.Progress("d"); err != nil || p != tt.progress {
				t.Errorf("%+v.Progress = %+v, %v, want %+v", got, p, err, tt.progress)
			}
		})
	}
}

// What other clients send.
func TestStatusOfOthers(t *testing.T) {
	tests := map[Status]fleet.Progress{
		{"rebooting", ""}:                                 {State: deployment.Rebooting},
		{"pause_before_installing", ""}:                   {State: deployment.Downloading, Detail: "pause_before_installing"},
		{"pause_before_rebooting", "waits"}:               {State: deployment.Installing, Detail: "waits"},
		{"pause_before_committing", ""}:                   {State: deployment.Trying, Detail: "pause_before_committing"},
		{"installing", "Executing script: x"}:             {State: deployment.Installing, Detail: "Executing script: x"},
		{"success", "moult:failed"}:                       {State: deployment.Done, Detail: "moult:failed"},
		{"failure", "moult:done"}:                         {State: deployment.Failed, Detail: "moult:done"},
		{"failure", "moult:"}:                             {State: deployment.Failed, Detail: "moult:"},
		{"downloading", "moult:downloading bytes=-1"}:     {State: deployment.Downloading, Detail: "bytes=-1"},
		{"downloading", "moult:downloading bytes=5 of 9"}: {State: deployment.Downloading, Detail: "of 9", Bytes: 5},
	}
	for in, want := range tests {
		if got, err := in.Progress(""); err != nil || got != want {
			t.Errorf("%+v.Progress = %+v, %v, want %+v", in, got, err, want)
		}
	}
}

func TestStatusLimits(t *testing.T) {
	got, err := NewStatus(fleet.Progress{State: deployment.Failed, Detail: strings.Repeat("ä", 300) + "\xff"})
	if want := strings.Repeat("ä", MaxSubstate/2); err != nil || got.Substate != want {
		t.Errorf("NewStatus cut to %d bytes, %v, want %d", len(got.Substate), err, len(want))
	}
	long := Status{"failure", strings.Repeat("x", 2000)}
	if p, _ := long.Progress(""); len(p.Detail) != deployment.MaxDetail {
		t.Errorf("Progress kept %d bytes, want %d", len(p.Detail), deployment.MaxDetail)
	}
}

func TestStatusRefuses(t *testing.T) {
	for _, s := range []deployment.State{deployment.Pending, deployment.Offered, deployment.Canceled, "bogus"} {
		if got, err := NewStatus(fleet.Progress{State: s}); !errors.Is(err, deployment.ErrState) {
			t.Errorf("NewStatus(%s) = %+v, %v, want %v", s, got, err, deployment.ErrState)
		}
	}
	for _, s := range []string{`{}`, `{"status":"aborted"}`, `{"status":"pending"}`, `{"status":"noartifact"}`, `{"status":1}`, `[]`} {
		if _, err := ParseStatus([]byte(s)); !errors.Is(err, ErrSyntax) {
			t.Errorf("ParseStatus(%s) = %v, want %v", s, err, ErrSyntax)
		}
	}
	if _, err := ParseStatus([]byte(strings.Repeat(" ", MaxStatusBody+1))); !errors.Is(err, fleet.ErrTooLarge) {
		t.Errorf("ParseStatus of a long body = %v, want %v", err, fleet.ErrTooLarge)
	}
}
