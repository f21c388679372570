// Package menderapi is the bytes of Mender's device API, both directions:
// what a device sends, what a server answers, where, and under which limits.
// It opens no socket and keeps nothing. FORMAT.md beside it is the contract.
//
// Parse functions refuse what is too long before they look inside, ignore
// keys that they do not know, and take a trailing newline. Append functions
// write what every known client and server reads.
package menderapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
)

// Paths of the device API.
const (
	AuthPath      = "/api/devices/v1/authentication/auth_requests"
	NextPath      = "/api/devices/v2/deployments/device/deployments/next"
	NextV1Path    = "/api/devices/v1/deployments/device/deployments/next"
	InventoryPath = "/api/devices/v1/inventory/device/attributes"

	deploymentPath   = "/api/devices/v1/deployments/device/deployments/"
	deploymentV2Path = "/api/devices/v2/deployments/device/deployments/"
)

// StatusPath is where a device reports on its deployment.
func StatusPath(d deployment.ID) string {
	return deploymentPath + url.PathEscape(string(d)) + "/status"
}

// LogPath is where a device leaves the log of a failed deployment.
func LogPath(d deployment.ID) string { return deploymentPath + url.PathEscape(string(d)) + "/log" }

// ControlMapPath is where clients 2.7 to 3.x ask whether to go on.
func ControlMapPath(d deployment.ID) string {
	return deploymentV2Path + url.PathEscape(string(d)) + "/update_control_map"
}

// Headers and media types.
const (
	SignatureHeader = "X-MEN-Signature" // base64, over the exact body of an auth request
	RequestIDHeader = "X-MEN-RequestID"
	JSONType        = "application/json"
	TokenType       = "application/jwt"
	ArtifactType    = "application/vnd.mender-artifact"
)

// Limits of request bodies, in bytes. More is answered with 413.
const (
	MaxAuthBody      = 32 << 10
	MaxNextBody      = 64 << 10
	MaxStatusBody    = 8 << 10
	MaxLogBody       = fleet.MaxLog
	MaxInventoryBody = 1 << 20
)

// Limits of answers, for a client that reads them.
const (
	MaxTokenBody = 16 << 10
	MaxNextReply = 64 << 10
	MaxErrorBody = 4 << 10
)

// ErrSyntax is returned for bytes that are not what they should be.
var ErrSyntax = errors.New("bad request body")

// parse reads one JSON value of at most limit bytes.
func parse(src []byte, limit int, v any) error {
	if len(src) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d", fleet.ErrTooLarge, len(src), limit)
	}
	if err := json.Unmarshal(src, v); err != nil {
		return fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	return nil
}

// appendJSON writes v, which holds only text, numbers, lists and maps of them.
func appendJSON(dst []byte, v any) []byte {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false) // links keep their ampersands
	if err := e.Encode(v); err != nil {
		panic("menderapi: " + err.Error())
	}
	return b.Bytes()[:b.Len()-1] // without the newline
}

// AppendError appends the body of every answer that is an error.
func AppendError(dst []byte, text, requestID string) []byte {
	return appendJSON(dst, errorBody{text, requestID})
}

// ParseError returns the text of an error body, and "" for anything else.
func ParseError(src []byte) string {
	var e errorBody
	if parse(src, MaxErrorBody, &e) != nil {
		return ""
	}
	return e.Error
}

type errorBody struct {
	Error     string `json:"error"`
	RequestID string `json:"request_id"`
}
