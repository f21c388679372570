package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moult-ota/moult/internal/auth"
)

func (a *api) enrolment() {
	tags := []string{"enrolment"}
	add(a, auth.Read, huma.Operation{
		OperationID: "list-enrolment-tokens", Method: http.MethodGet, Path: "/enrolment-tokens", Summary: "List enrolment tokens, without their secrets", Tags: tags,
	}, a.listEnrolmentTokens)
	add(a, auth.Device, huma.Operation{
		OperationID: "create-enrolment-token", Method: http.MethodPost, Path: "/enrolment-tokens", Summary: "Make a token that lets devices in without a question",
		Tags: tags, DefaultStatus: http.StatusCreated,
	}, a.createEnrolmentToken)
	add(a, auth.Device, huma.Operation{
		OperationID: "delete-enrolment-token", Method: http.MethodDelete, Path: "/enrolment-tokens/{id}", Summary: "Delete an enrolment token; devices that used it stay",
		Tags: tags, DefaultStatus: http.StatusNoContent,
	}, a.deleteEnrolmentToken)
}

type enrolmentTokensOut struct{ Body Page[EnrolmentToken] }

func (a *api) listEnrolmentTokens(ctx context.Context, _ *struct{}) (*enrolmentTokensOut, error) {
	list, err := a.control.EnrolmentTokens(ctx)
	if err != nil {
		return nil, err
	}
	out := &enrolmentTokensOut{}
	out.Body.Items = shapes(list, enrolmentTokenShape)
	return out, nil
}

// NewEnrolmentToken is what create-enrolment-token takes.
type NewEnrolmentToken struct {
	Name string `json:"name" minLength:"1" maxLength:"256"`
	Uses int    `json:"uses,omitempty" minimum:"0" doc:"How often it may be used; 0 is without limit"`
	TTL  int    `json:"ttl_seconds,omitempty" minimum:"0" maximum:"315360000" doc:"How long it lives; 0 is for ever"`
}

type createEnrolmentTokenIn struct{ Body NewEnrolmentToken }

type enrolmentTokenOut struct{ Body EnrolmentToken }

func (a *api) createEnrolmentToken(ctx context.Context, in *createEnrolmentTokenIn) (*enrolmentTokenOut, error) {
	t, secret, err := a.control.CreateEnrolmentToken(ctx, in.Body.Name, in.Body.Uses, time.Duration(in.Body.TTL)*time.Second)
	if err != nil {
		return nil, err
	}
	out := &enrolmentTokenOut{Body: enrolmentTokenShape(t)}
	out.Body.Secret = secret
	return out, nil
}

type idIn struct {
	ID string `path:"id" maxLength:"128"`
}

func (a *api) deleteEnrolmentToken(ctx context.Context, in *idIn) (*struct{}, error) {
	return nil, a.control.DeleteEnrolmentToken(ctx, in.ID)
}
