package menderapi

import (
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
)

// A NextReply is the work: which artifact, and where to fetch it. A server
// that has none answers 204 instead.
type NextReply struct {
	Assignment fleet.Assignment
	URI        string    // needs no Authorization
	Expire     time.Time // of URI; zero when the server did not say
}

// nextReply is the reply on the wire. Size and SHA256 are ours: clients that
// do not know them pass over them, and servers that do not send them leave
// them zero.
type nextReply struct {
	ID       string `json:"id"`
	Artifact struct {
		ID     string `json:"id,omitempty"`
		Name   string `json:"artifact_name"`
		Source struct {
			URI    string `json:"uri"`
			Expire string `json:"expire,omitempty"`
		} `json:"source"`
		DeviceTypes []string `json:"device_types_compatible"`
		Size        int64    `json:"size,omitempty"`
		SHA256      string   `json:"sha256,omitempty"`
	} `json:"artifact"`
}

// Append appends the body of a 200.
func (r NextReply) Append(dst []byte) []byte {
	var w nextReply
	a := r.Assignment.Artifact
	w.ID = string(r.Assignment.Deployment)
	w.Artifact.ID, w.Artifact.Name, w.Artifact.DeviceTypes = a.ID, a.Name, a.DeviceTypes
	w.Artifact.Size, w.Artifact.SHA256 = a.Size, a.SHA256
	w.Artifact.Source.URI = r.URI
	if !r.Expire.IsZero() {
		w.Artifact.Source.Expire = r.Expire.UTC().Format(time.RFC3339)
	}
	return appendJSON(dst, w)
}

// ParseNextReply reads the body of a 200. An expiry that is no RFC 3339 time
// counts as not said.
func ParseNextReply(src []byte) (NextReply, error) {
	var w nextReply
	if err := parse(src, MaxNextReply, &w); err != nil {
		return NextReply{}, err
	}
	switch a := w.Artifact; {
	case w.ID == "", a.Name == "", a.Source.URI == "":
		return NextReply{}, fmt.Errorf("%w: deployment has no id, artifact_name or uri", ErrSyntax)
	case a.Size < 0:
		return NextReply{}, fmt.Errorf("%w: artifact of %d bytes", ErrSyntax, a.Size)
	}
	expire, _ := time.Parse(time.RFC3339, w.Artifact.Source.Expire)
	return NextReply{w.assignment(), w.Artifact.Source.URI, expire}, nil
}

func (w nextReply) assignment() fleet.Assignment {
	a := w.Artifact
	return fleet.Assignment{
		Deployment: deployment.ID(w.ID),
		Artifact:   fleet.Artifact{ID: a.ID, Name: a.Name, DeviceTypes: a.DeviceTypes, Size: a.Size, SHA256: a.SHA256},
	}
}
