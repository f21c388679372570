package frontendtest

import (
	"bytes"
	"strings"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

func resume(s *stage) {
	a, o, file := s.assigned()
	size := int64(len(file))
	for _, offset := range []int64{0, 1, size / 2, size - 1} {
		got, err := a.Download(s.ctx, o, offset)
		if err != nil || !bytes.Equal(got, file[offset:]) {
			s.Errorf("Download from %d = %d bytes, %v, want the last %d", offset, len(got), err, size-offset)
		}
	}
	if got, err := a.Download(s.ctx, o, size+1); err == nil {
		s.Errorf("Download from behind the end = %d bytes", len(got))
	}
}

func referenceExpires(s *stage) {
	a, o, file := s.assigned()
	s.Advance(s.Link - 1e9)
	if got, err := a.Download(s.ctx, o, 0); err != nil || !bytes.Equal(got, file) {
		s.Errorf("Download just before expiry = %d bytes, %v, want %d", len(got), err, len(file))
	}
	s.Advance(2e9)
	_, err := a.Download(s.ctx, o, 0)
	s.wantError("Download after expiry", err, fleet.ErrUnauthorized)
	a.Enroll(s.ctx)
	o, err = a.CheckIn(s.ctx, running(oldName))
	if err != nil {
		s.Fatal(err)
	}
	if got, err := a.Download(s.ctx, o, 0); err != nil || !bytes.Equal(got, file) {
		s.Errorf("Download with a new reference = %d bytes, %v, want %d", len(got), err, len(file))
	}
}

const otherIdentity device.Identity = `{"mac":"de:ad:be:ef:00:02"}`

// stranger is invariant 6: a device neither reads nor writes what belongs to
// another.
func stranger(s *stage) {
	a, o, _ := s.assigned()
	b := s.join(otherIdentity)
	d := o.Deployment
	s.wantNothing(b, running(oldName))
	s.wantError("Progress for another", b.Progress(s.ctx, fleet.Progress{Deployment: d, State: deployment.Failed}), fleet.ErrNotFound)
	s.wantError("Log for another", b.Log(s.ctx, d, "not mine"), fleet.ErrNotFound)
	bare := o
	bare.Ref = ""
	if got, err := b.Download(s.ctx, bare, 0); err == nil {
		s.Errorf("Download of another's artifact = %d bytes", len(got))
	}
	got := s.wantState(d, a, deployment.Offered)
	if text, _ := s.Records.LogText(d, a.id); got.HasLog || strings.Contains(text, "not mine") {
		s.Errorf("log of the device = %q, written by another", text)
	}
}

// strangerAfterCancel: also what is over tells a stranger nothing.
func strangerAfterCancel(s *stage) {
	_, o, _ := s.assigned()
	b := s.join(otherIdentity)
	if err := s.Operator.Abort(o.Deployment); err != nil {
		s.Fatal(err)
	}
	err := b.Progress(s.ctx, fleet.Progress{Deployment: o.Deployment, State: deployment.Done})
	s.wantError("Progress for another after abort", err, fleet.ErrNotFound)
}

func unknownDeployment(s *stage) {
	a := s.join(identity)
	for _, d := range []deployment.ID{"none", "00000000-0000-4000-8000-00000000ffff", "../../x", "a b?c#d"} {
		err := a.Progress(s.ctx, fleet.Progress{Deployment: d, State: deployment.Done})
		s.wantError("Progress in "+string(d), err, fleet.ErrNotFound)
		s.wantError("Log of "+string(d), a.Log(s.ctx, d, "x"), fleet.ErrNotFound)
	}
}
