package mender

import (
	"fmt"
	"io"
	"net/http"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// enroll answers a signed request of an accepted device with a token.
// Authorization means nothing here.
func (f *frontEnd) enroll(w http.ResponseWriter, r *http.Request) error {
	if !f.enrolments.enter("") {
		return fleet.ErrBusy
	}
	defer f.enrolments.leave("")
	signature := r.Header.Get(menderapi.SignatureHeader)
	if signature == "" {
		return errNoSignature
	}
	var c fleet.Credential
	err := withBody(w, r, menderapi.MaxAuthBody, func(body []byte) (err error) {
		c, err = credential(body, signature)
		return err
	})
	if err != nil {
		return err
	}
	id, err := f.Core.Enroll(r.Context(), c)
	if err != nil {
		return fmt.Errorf("dev auth: unauthorized: %w", err)
	}
	w.Header().Set("Content-Type", menderapi.TokenType)
	io.WriteString(w, f.tokens.issue(id, f.Now()))
	return nil
}

// credential reads a body and checks that its sender holds the private key.
func credential(body []byte, signature string) (fleet.Credential, error) {
	req, err := menderapi.ParseAuthRequest(body)
	if err != nil {
		return fleet.Credential{}, err
	}
	key, err := menderapi.ParseKey(req.Key)
	if err != nil {
		return fleet.Credential{}, err
	}
	if err := key.Verify(body, signature); err != nil {
		return fleet.Credential{}, err
	}
	identity, err := device.ParseIdentity(req.Identity)
	if err != nil {
		return fleet.Credential{}, err
	}
	return fleet.Credential{Identity: identity, Key: key.PEM(), Token: req.TenantToken}, nil
}
