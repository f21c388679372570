package menderapi

import (
	"fmt"

	"github.com/moult-ota/moult/internal/device"
)

// MaxEnrolment bounds the tenant token, which carries our enrolment token.
const MaxEnrolment = 4 << 10

// An AuthRequest asks to be let in. Its body is signed with the device's key
// and the signature goes into SignatureHeader.
type AuthRequest struct {
	Identity    string `json:"id_data"`        // JSON in a string; device.ParseIdentity reads it
	TenantToken string `json:"tenant_token"`   // enrolment token; empty for none
	Key         string `json:"pubkey"`         // PEM; ParseKey reads it
	Tier        string `json:"tier,omitempty"` // "standard", "micro", "system"; empty means standard
}

// Append appends the body to sign and send.
func (r AuthRequest) Append(dst []byte) []byte { return appendJSON(dst, r) }

// ParseAuthRequest reads a body; it does not look at the signature, which
// Key.Verify checks over the same bytes.
func ParseAuthRequest(src []byte) (AuthRequest, error) {
	var r AuthRequest
	if err := parse(src, MaxAuthBody, &r); err != nil {
		return AuthRequest{}, err
	}
	switch {
	case r.Identity == "":
		return AuthRequest{}, fmt.Errorf("%w: id_data is missing", ErrSyntax)
	case r.Key == "":
		return AuthRequest{}, fmt.Errorf("%w: pubkey is missing", ErrSyntax)
	case len(r.Identity) > device.MaxIdentity:
		return AuthRequest{}, fmt.Errorf("%w: id_data of %d bytes, at most %d", ErrSyntax, len(r.Identity), device.MaxIdentity)
	case len(r.TenantToken) > MaxEnrolment:
		return AuthRequest{}, fmt.Errorf("%w: tenant_token of %d bytes, at most %d", ErrSyntax, len(r.TenantToken), MaxEnrolment)
	}
	return r, nil
}
