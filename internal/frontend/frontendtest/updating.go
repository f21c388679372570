package frontendtest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
)

func nothingToDo(s *stage) {
	a := s.join(identity)
	s.publish()
	s.wantNothing(a, running(oldName))
	s.wantNothing(a, running(newName))
}

func assigned(s *stage) {
	a, o, file := s.assigned()
	sum := sha256.Sum256(file)
	switch art := o.Artifact; {
	case art.Name != newName, !slices.Equal(art.DeviceTypes, []string{boardType}):
		s.Errorf("offered %+v, want %s for %s", art, newName, boardType)
	case art.Size != int64(len(file)), art.SHA256 != hex.EncodeToString(sum[:]):
		s.Errorf("offered %d bytes with digest %s, want %d with %x", art.Size, art.SHA256, len(file), sum)
	}
	s.wantState(o.Deployment, a, deployment.Offered)
	s.report(a, fleet.Progress{Deployment: o.Deployment, State: deployment.Downloading})
	again, err := a.CheckIn(s.ctx, running(oldName))
	if err != nil || again.Deployment != o.Deployment {
		s.Errorf("CheckIn while downloading = %+v, %v, want the same deployment", again, err)
	}
}

func otherType(s *stage) {
	a := s.join(identity)
	s.publish()
	d := s.deploy(a)
	r := running(oldName)
	r.Type = "board-2"
	s.wantNothing(a, r)
	s.wantState(d, a, deployment.Skipped)
}

func alreadyInstalled(s *stage) {
	a := s.join(identity)
	s.publish()
	d := s.deploy(a)
	s.wantNothing(a, running(newName))
	s.wantState(d, a, deployment.Skipped)
}

func success(s *stage) {
	a, o, file := s.assigned()
	d := o.Deployment
	s.report(a, fleet.Progress{Deployment: d, State: deployment.Downloading, Bytes: 1024})
	if got := s.wantState(d, a, deployment.Downloading); got.Total != int64(len(file)) {
		s.Errorf("total = %d bytes, want %d", got.Total, len(file))
	}
	for _, state := range []deployment.State{deployment.Installing, deployment.Rebooting, deployment.Trying, deployment.Done} {
		s.report(a, fleet.Progress{Deployment: d, State: state})
		s.wantState(d, a, state)
	}
	s.wantNothing(a, running(newName))
}

func lateReports(s *stage) {
	a, o, _ := s.assigned()
	for _, state := range []deployment.State{deployment.Downloading, deployment.Downloading, deployment.Rebooting, deployment.Downloading} {
		s.report(a, fleet.Progress{Deployment: o.Deployment, State: state})
	}
	s.wantState(o.Deployment, a, deployment.Rebooting)
}

func failure(s *stage) {
	a, o, _ := s.assigned()
	d := o.Deployment
	s.report(a, fleet.Progress{Deployment: d, State: deployment.Installing})
	s.report(a, fleet.Progress{Deployment: d, State: deployment.Failed, Detail: "disk is full"})
	s.wantError("first Log", a.Log(s.ctx, d, "first line"), nil)
	s.wantError("second Log", a.Log(s.ctx, d, "no space left on device"), nil)
	got := s.wantState(d, a, deployment.Failed)
	if got.Detail != "disk is full" || !got.HasLog {
		s.Errorf("detail = %q with log %v, want %q with a log", got.Detail, got.HasLog, "disk is full")
	}
	text, err := s.Records.LogText(d, a.id)
	if err != nil || !strings.Contains(text, "no space left on device") || strings.Contains(text, "first line") {
		s.Errorf("log = %q, %v, want the second alone", text, err)
	}
	s.wantNothing(a, running(oldName))
}

func rolledBack(s *stage) { endsIn(s, deployment.Trying, deployment.RolledBack) }

func refused(s *stage) { endsIn(s, deployment.Downloading, deployment.Refused) }

func endsIn(s *stage, from, to deployment.State) {
	a, o, _ := s.assigned()
	s.report(a, fleet.Progress{Deployment: o.Deployment, State: from})
	s.report(a, fleet.Progress{Deployment: o.Deployment, State: to, Detail: "in its own words"})
	if got := s.wantState(o.Deployment, a, to); got.Detail != "in its own words" {
		s.Errorf("detail = %q, want %q", got.Detail, "in its own words")
	}
	s.wantNothing(a, running(oldName))
}

func afterEnd(s *stage) {
	a, o, _ := s.assigned()
	d := o.Deployment
	s.report(a, fleet.Progress{Deployment: d, State: deployment.Done})
	for _, state := range []deployment.State{deployment.Installing, deployment.Failed, deployment.RolledBack} {
		if err := a.Progress(s.ctx, fleet.Progress{Deployment: d, State: state}); err == nil {
			s.Errorf("Progress(%s) after done was taken", state)
		}
	}
	s.report(a, fleet.Progress{Deployment: d, State: deployment.Done}) // the same again is no news
	s.wantState(d, a, deployment.Done)
}

func cancel(s *stage)       { cancelIn(s, deployment.Downloading) }
func cancelTrying(s *stage) { cancelIn(s, deployment.Trying) }

func cancelIn(s *stage, state deployment.State) {
	a, o, _ := s.assigned()
	d := o.Deployment
	s.report(a, fleet.Progress{Deployment: d, State: state})
	if err := s.Operator.Abort(d); err != nil {
		s.Fatal(err)
	}
	for _, next := range []deployment.State{deployment.Installing, deployment.Done, deployment.Failed} {
		err := a.Progress(s.ctx, fleet.Progress{Deployment: d, State: next})
		s.wantError("Progress("+string(next)+") after abort", err, fleet.ErrCanceled)
	}
	_, err := a.Download(s.ctx, o, 0)
	s.wantError("Download after abort", err, fleet.ErrCanceled)
	s.wantNothing(a, running(oldName))
	s.wantState(d, a, deployment.Canceled)
}
