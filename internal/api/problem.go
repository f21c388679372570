package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moult-ota/moult/internal/auth"
	"github.com/moult-ota/moult/internal/blob"
	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
)

// A Problem is an error answer (RFC 9457). Code is stable: programs branch on
// it, and never on Title or Detail, which are for people.
type Problem struct {
	Type      string              `json:"type" doc:"urn:moult:problem: and the code" example:"urn:moult:problem:not_found"`
	Title     string              `json:"title" doc:"The code in words"`
	Status    int                 `json:"status" doc:"HTTP status"`
	Code      string              `json:"code" doc:"Stable name of the problem" enum:"invalid,unauthenticated,forbidden,not_found,method_not_allowed,conflict,in_use,precondition_failed,idempotency_mismatch,artifact_refused,too_large,storage_full,busy,internal"`
	Detail    string              `json:"detail,omitempty" doc:"What happened here, and what to do"`
	RequestID string              `json:"request_id,omitempty" doc:"Also in the server's log"`
	Errors    []*huma.ErrorDetail `json:"errors,omitempty" doc:"What is wrong with which part of the request"`
}

// Error makes a Problem an error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is what huma asks for.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is what huma asks for.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// codes maps what the rooms below return to what the API answers; the first
// that matches wins.
var codes = []struct {
	err    error
	status int
	code   string
}{
	{control.ErrIdempotency, http.StatusUnprocessableEntity, "idempotency_mismatch"},
	{control.ErrRefused, http.StatusUnprocessableEntity, "artifact_refused"},
	{control.ErrPrecondition, http.StatusPreconditionFailed, "precondition_failed"},
	{control.ErrInUse, http.StatusConflict, "in_use"},
	{control.ErrConflict, http.StatusConflict, "conflict"},
	{control.ErrNotFound, http.StatusNotFound, "not_found"},
	{control.ErrInvalid, http.StatusUnprocessableEntity, "invalid"},
	{deployment.ErrTarget, http.StatusUnprocessableEntity, "invalid"},
	{control.ErrAlready, http.StatusConflict, "conflict"},
	{device.ErrIdentity, http.StatusUnprocessableEntity, "invalid"},
	{control.ErrUnauthorized, http.StatusUnauthorized, "unauthenticated"},
	{auth.ErrNoToken, http.StatusUnauthorized, "unauthenticated"},
	{auth.ErrScope, http.StatusForbidden, "forbidden"},
	{blob.ErrFull, http.StatusInsufficientStorage, "storage_full"},
	{errBusy, http.StatusServiceUnavailable, "busy"},
}

// byStatus names problems that huma finds before a handler runs.
var byStatus = map[int]string{
	http.StatusBadRequest:            "invalid",
	http.StatusUnauthorized:          "unauthenticated",
	http.StatusForbidden:             "forbidden",
	http.StatusNotFound:              "not_found",
	http.StatusMethodNotAllowed:      "method_not_allowed",
	http.StatusRequestTimeout:        "invalid",
	http.StatusNotAcceptable:         "invalid",
	http.StatusConflict:              "conflict",
	http.StatusPreconditionFailed:    "precondition_failed",
	http.StatusRequestEntityTooLarge: "too_large",
	http.StatusUnsupportedMediaType:  "invalid",
	http.StatusUnprocessableEntity:   "invalid",
	http.StatusServiceUnavailable:    "busy",
}

var errBusy = errors.New("server is busy; ask again later")

// NewProblem makes a Problem; an unknown status is internal.
func NewProblem(status int, detail string) *Problem {
	code, ok := byStatus[status]
	if !ok {
		code = "internal"
	}
	return newProblem(status, code, detail)
}

func newProblem(status int, code, detail string) *Problem {
	return &Problem{
		Type:   "urn:moult:problem:" + code,
		Title:  strings.ReplaceAll(code, "_", " "),
		Status: status, Code: code, Detail: detail,
	}
}

// problemOf turns any error into a Problem. An error that nobody foresaw is
// logged here and answered without its text, which may tell too much.
func problemOf(ctx context.Context, log *slog.Logger, err error) *Problem {
	p := match(err)
	p.RequestID = RequestID(ctx)
	if p.Status == http.StatusInternalServerError && ctx.Err() == nil {
		log.ErrorContext(ctx, "request went wrong", "err", err, "request_id", p.RequestID)
	}
	return p
}

func match(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return NewProblem(http.StatusRequestEntityTooLarge, err.Error())
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return newProblem(c.status, c.code, err.Error())
		}
	}
	return NewProblem(http.StatusInternalServerError, "the server's log says more under this request id")
}

// huma makes its own errors (validation, unknown formats) through these two
// variables; they are the only way to give those a code.
func init() {
	huma.NewError = func(status int, detail string, errs ...error) huma.StatusError {
		p := NewProblem(status, detail)
		for _, err := range errs {
			if err != nil {
				p.Errors = append(p.Errors, detailOf(err))
			}
		}
		return p
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, detail string, errs ...error) huma.StatusError {
		p := huma.NewError(status, detail, errs...).(*Problem)
		p.RequestID = RequestID(ctx.Context())
		return p
	}
}

func detailOf(err error) *huma.ErrorDetail {
	if d, ok := err.(huma.ErrorDetailer); ok {
		return d.ErrorDetail()
	}
	return &huma.ErrorDetail{Message: err.Error()}
}
