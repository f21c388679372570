package menderapi

import (
	"fmt"
	"net/url"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

// Limits of what a device says is installed.
const (
	MaxProvides     = 256
	maxProvideName  = 256     // bytes
	maxProvideValue = 4 << 10 // bytes
)

// Names among the provides that every device has.
const (
	ArtifactName = "artifact_name"
	DeviceType   = "device_type"
)

// A NextRequest asks for work.
type NextRequest struct {
	Provides   map[string]string `json:"device_provides"` // ArtifactName and DeviceType among them
	ControlMap bool              `json:"update_control_map,omitempty"`
}

// NewNextRequest puts a report into the shape of the wire.
func NewNextRequest(r fleet.Report) NextRequest {
	provides := make(map[string]string, len(r.Provides)+1)
	for k, v := range r.Provides {
		provides[k] = v
	}
	provides[DeviceType] = r.Type
	return NextRequest{Provides: provides}
}

// Report is what the fleet wants to know of the request. It shares the map.
func (r NextRequest) Report() fleet.Report {
	return fleet.Report{Type: r.Provides[DeviceType], Provides: r.Provides}
}

// Append appends the body for NextPath.
func (r NextRequest) Append(dst []byte) []byte { return appendJSON(dst, r) }

// ParseNextRequest reads the body that was sent to NextPath.
func ParseNextRequest(src []byte) (NextRequest, error) {
	if len(src) <= MaxNextBody {
		if r, ok := plainNext(string(src)); ok {
			return r, checkProvides(r.Provides)
		}
	}
	var r NextRequest
	if err := parse(src, MaxNextBody, &r); err != nil {
		return NextRequest{}, err
	}
	return r, checkProvides(r.Provides)
}

// ParseNextV1 reads the body that was sent to NextV1Path: provides, flat.
func ParseNextV1(src []byte) (NextRequest, error) {
	var r NextRequest
	if err := parse(src, MaxNextBody, &r.Provides); err != nil {
		return NextRequest{}, err
	}
	return r, checkProvides(r.Provides)
}

// ParseNextQuery reads the query of a GET of NextV1Path.
func ParseNextQuery(query string) (NextRequest, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return NextRequest{}, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	r := NextRequest{Provides: map[string]string{
		ArtifactName: q.Get(ArtifactName), DeviceType: q.Get(DeviceType),
	}}
	if r.Provides[ArtifactName] == "" {
		return NextRequest{}, fmt.Errorf("%w: %s is missing", ErrSyntax, ArtifactName)
	}
	return r, checkProvides(r.Provides)
}

func checkProvides(p map[string]string) error {
	if n := len(p[DeviceType]); n == 0 || n > device.MaxType {
		return fmt.Errorf("%w: %s of %d bytes, want 1 to %d", ErrSyntax, DeviceType, n, device.MaxType)
	}
	if len(p) > MaxProvides {
		return fmt.Errorf("%w: %d provides, at most %d", ErrSyntax, len(p), MaxProvides)
	}
	for name, v := range p {
		if name == "" || len(name) > maxProvideName || len(v) > maxProvideValue {
			return fmt.Errorf("%w: provide %.32q has a name of %d bytes and a value of %d", ErrSyntax, name, len(name), len(v))
		}
	}
	return nil
}
