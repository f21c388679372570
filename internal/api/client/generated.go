// Code generated from internal/api/openapi.yaml; DO NOT EDIT. `make golden` writes it.

package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Artifact is a schema of the API.
type Artifact struct {
	ClearsProvides  []string            `json:"clears_provides,omitempty"`
	CreatedAt       time.Time           `json:"created_at"`
	Depends         map[string][]string `json:"depends,omitempty"`
	DeviceTypes     []string            `json:"device_types"`
	ID              string              `json:"id"`
	Note            string              `json:"note,omitempty"`
	PayloadType     string              `json:"payload_type"`
	Provides        map[string]string   `json:"provides,omitempty"`
	Release         string              `json:"release"` // Artifact name
	SecurityVersion int64               `json:"security_version,omitempty"`
	SHA256          string              `json:"sha256"` // Of the whole file, hex
	Signed          bool                `json:"signed"`
	Size            int64               `json:"size"` // Bytes of the whole file
}

// Assignment is a schema of the API.
type Assignment struct {
	Artifact   string    `json:"artifact,omitempty"` // Chosen for it; absent until offered
	Attempt    int64     `json:"attempt"`
	Bytes      int64     `json:"bytes,omitempty"` // Of the artifact, so far
	Deployment string    `json:"deployment"`
	Detail     string    `json:"detail,omitempty"` // The device's own words
	Device     string    `json:"device"`
	HasLog     bool      `json:"has_log"`
	State      string    `json:"state"`
	Total      int64     `json:"total,omitempty"`
	UpdatedAt  time.Time `json:"updated_at"`
}

// Deployment is a schema of the API.
type Deployment struct {
	Counts     map[string]int64 `json:"counts"` // Devices by state; states that nobody is in are absent
	CreatedAt  time.Time        `json:"created_at"`
	CreatedBy  string           `json:"created_by,omitempty"`
	FinishedAt *time.Time       `json:"finished_at,omitempty"`
	ID         string           `json:"id"`
	Name       string           `json:"name"`
	Release    string           `json:"release"`
	Retries    int64            `json:"retries"`
	Size       int64            `json:"size"` // Devices it is for
	Status     string           `json:"status"`
	Target     Target           `json:"target"`
}

// Device is a schema of the API.
type Device struct {
	CreatedAt time.Time         `json:"created_at"`
	ID        string            `json:"id"`
	Identity  map[string]any    `json:"identity"`           // What the device calls itself: strings or lists of strings
	Parent    string            `json:"parent,omitempty"`   // Gateway in front of it
	Provides  map[string]string `json:"provides,omitempty"` // What is installed
	Release   string            `json:"release,omitempty"`  // Artifact name that runs now
	SeenAt    *time.Time        `json:"seen_at,omitempty"`  // Last contact, up to a minute late
	Status    string            `json:"status"`
	Type      string            `json:"type,omitempty"` // Device type; absent until the device said so
}

// DeviceCount is a schema of the API.
type DeviceCount struct {
	Counts map[string]int64 `json:"counts"` // Devices by status
	Total  int64            `json:"total"`
}

// DeviceDetail is a schema of the API.
type DeviceDetail struct {
	Assignments []Assignment      `json:"assignments"` // The newest, at most 20
	CreatedAt   time.Time         `json:"created_at"`
	ID          string            `json:"id"`
	Identity    map[string]any    `json:"identity"` // What the device calls itself: strings or lists of strings
	Inventory   map[string]any    `json:"inventory"`
	Keys        []Key             `json:"keys"`
	Parent      string            `json:"parent,omitempty"`   // Gateway in front of it
	Provides    map[string]string `json:"provides,omitempty"` // What is installed
	Release     string            `json:"release,omitempty"`  // Artifact name that runs now
	SeenAt      *time.Time        `json:"seen_at,omitempty"`  // Last contact, up to a minute late
	Status      string            `json:"status"`
	Type        string            `json:"type,omitempty"` // Device type; absent until the device said so
	Version     string            `json:"version"`        // The ETag; for If-Match
}

// EnrolmentToken is a schema of the API.
type EnrolmentToken struct {
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Secret    string     `json:"secret,omitempty"` // Only in the answer that created it
	Used      int64      `json:"used"`
	Uses      int64      `json:"uses"` // How often it may be used; 0 is without limit
}

// ErrorDetail is a schema of the API.
type ErrorDetail struct {
	Location string `json:"location,omitempty"` // Where the error occurred, e.g. 'body.items[3].tags' or 'path.thing-id'
	Message  string `json:"message,omitempty"`  // Error message text
	Value    any    `json:"value,omitempty"`    // The value at the given location
}

// Event is a schema of the API.
type Event struct {
	At         time.Time `json:"at"`
	Cursor     int64     `json:"cursor"`
	Deployment string    `json:"deployment,omitempty"`
	Detail     string    `json:"detail,omitempty"`
	Device     string    `json:"device,omitempty"`
	Kind       string    `json:"kind"`
	State      string    `json:"state,omitempty"` // For kind assignment: its new state
}

// Key is a schema of the API.
type Key struct {
	CreatedAt   time.Time `json:"created_at"`
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the DER, hex
	PEM         string    `json:"pem"`
	Status      string    `json:"status"`
}

// Named is a schema of the API.
type Named struct {
	ID string `json:"id"`
}

// NewDeployment is a schema of the API.
type NewDeployment struct {
	Name    string `json:"name,omitempty"` // For people; the release's name when absent
	Release string `json:"release"`
	Retries int64  `json:"retries,omitempty"` // Fresh attempts that a device gets after failed or rolled-back
	Target  Target `json:"target"`
}

// NewDevice is a schema of the API.
type NewDevice struct {
	Identity map[string]any `json:"identity"` // What the device will call itself
	Key      string         `json:"key"`      // Public key, PEM SubjectPublicKeyInfo
}

// NewEnrolmentToken is a schema of the API.
type NewEnrolmentToken struct {
	Name       string `json:"name"`
	TTLSeconds int64  `json:"ttl_seconds,omitempty"` // How long it lives; 0 is for ever
	Uses       int64  `json:"uses,omitempty"`        // How often it may be used; 0 is without limit
}

// NewStatus is a schema of the API.
type NewStatus struct {
	Fingerprint string `json:"fingerprint,omitempty"` // Which of its keys; the newest when absent
	Status      string `json:"status"`
}

// NewToken is a schema of the API.
type NewToken struct {
	Name       string   `json:"name"`
	Scopes     []string `json:"scopes"`
	TTLSeconds int64    `json:"ttl_seconds,omitempty"` // How long it lives; 0 is for ever
}

// PageAssignment is a schema of the API.
type PageAssignment struct {
	Items      []Assignment `json:"items"`
	NextCursor string       `json:"next_cursor,omitempty"` // Absent on the last page
}

// PageDeployment is a schema of the API.
type PageDeployment struct {
	Items      []Deployment `json:"items"`
	NextCursor string       `json:"next_cursor,omitempty"` // Absent on the last page
}

// PageDevice is a schema of the API.
type PageDevice struct {
	Items      []Device `json:"items"`
	NextCursor string   `json:"next_cursor,omitempty"` // Absent on the last page
}

// PageEnrolmentToken is a schema of the API.
type PageEnrolmentToken struct {
	Items      []EnrolmentToken `json:"items"`
	NextCursor string           `json:"next_cursor,omitempty"` // Absent on the last page
}

// PageRelease is a schema of the API.
type PageRelease struct {
	Items      []Release `json:"items"`
	NextCursor string    `json:"next_cursor,omitempty"` // Absent on the last page
}

// PageToken is a schema of the API.
type PageToken struct {
	Items      []Token `json:"items"`
	NextCursor string  `json:"next_cursor,omitempty"` // Absent on the last page
}

// PageTransition is a schema of the API.
type PageTransition struct {
	Items      []Transition `json:"items"`
	NextCursor string       `json:"next_cursor,omitempty"` // Absent on the last page
}

// Problem is a schema of the API.
type Problem struct {
	Code      string        `json:"code"`                 // Stable name of the problem
	Detail    string        `json:"detail,omitempty"`     // What happened here, and what to do
	Errors    []ErrorDetail `json:"errors,omitempty"`     // What is wrong with which part of the request
	RequestID string        `json:"request_id,omitempty"` // Also in the server's log
	Status    int64         `json:"status"`               // HTTP status
	Title     string        `json:"title"`                // The code in words
	Type      string        `json:"type"`                 // urn:moult:problem: and the code
}

// Release is a schema of the API.
type Release struct {
	Artifacts []Artifact `json:"artifacts"`
	CreatedAt time.Time  `json:"created_at"`
	Name      string     `json:"name"`
}

// Retried is a schema of the API.
type Retried struct {
	Devices int64 `json:"devices"`
}

// Target is a schema of the API.
type Target struct {
	All     bool     `json:"all,omitempty"`     // Every accepted device
	Devices []string `json:"devices,omitempty"` // The devices named
	Filter  string   `json:"filter,omitempty"`  // Accepted devices that match an inventory filter now
	Type    string   `json:"type,omitempty"`    // Every accepted device of one device type
}

// Token is a schema of the API.
type Token struct {
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"`
	Secret    string     `json:"secret,omitempty"` // Only in the answer that created it
}

// Transition is a schema of the API.
type Transition struct {
	At     time.Time `json:"at"`
	Detail string    `json:"detail,omitempty"`
	From   string    `json:"from"`
	To     string    `json:"to"`
}

// Whoami is a schema of the API.
type Whoami struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
}

// UploadArtifactParams are what UploadArtifact may be told; zero is not said.
type UploadArtifactParams struct {
	Note string // Kept with the artifact
}

// UploadArtifact: Upload an artifact; it is checked while it arrives.
func (c *Client) UploadArtifact(ctx context.Context, body io.Reader, p UploadArtifactParams) (Artifact, error) {
	r := request{method: http.MethodPost, path: "/api/v1/artifacts", raw: body}
	r.set("query", "note", p.Note)
	var out Artifact
	err := c.do(ctx, r, &out)
	return out, err
}

// DeleteArtifact: Delete an artifact that no active deployment uses.
func (c *Client) DeleteArtifact(ctx context.Context, id string) error {
	r := request{method: http.MethodDelete, path: "/api/v1/artifacts/" + url.PathEscape(id)}
	return c.do(ctx, r, nil)
}

// DownloadArtifactParams are what DownloadArtifact may be told; zero is not said.
type DownloadArtifactParams struct {
	Range string // RFC 9110 §14
}

// DownloadArtifact: Download an artifact; takes ranges.
func (c *Client) DownloadArtifact(ctx context.Context, id string, p DownloadArtifactParams) (io.ReadCloser, error) {
	r := request{method: http.MethodGet, path: "/api/v1/artifacts/" + url.PathEscape(id) + "/content"}
	r.set("header", "Range", p.Range)
	return c.open(ctx, r)
}

// ListDeploymentsParams are what ListDeployments may be told; zero is not said.
type ListDeploymentsParams struct {
	Limit   int64  // Items on a page
	Cursor  string // next_cursor of the page before
	Status  string // Only these
	Release string // Only of this release
}

// ListDeployments: List deployments, the newest first.
func (c *Client) ListDeployments(ctx context.Context, p ListDeploymentsParams) (PageDeployment, error) {
	r := request{method: http.MethodGet, path: "/api/v1/deployments"}
	r.set("query", "limit", p.Limit)
	r.set("query", "cursor", p.Cursor)
	r.set("query", "status", p.Status)
	r.set("query", "release", p.Release)
	var out PageDeployment
	err := c.do(ctx, r, &out)
	return out, err
}

// CreateDeploymentParams are what CreateDeployment may be told; zero is not said.
type CreateDeploymentParams struct {
	IdempotencyKey string // The same key and body within 24 hours get the first answer again; another body is refused
}

// CreateDeployment: Send a release to devices.
func (c *Client) CreateDeployment(ctx context.Context, body NewDeployment, p CreateDeploymentParams) (Deployment, error) {
	r := request{method: http.MethodPost, path: "/api/v1/deployments", json: body}
	r.set("header", "Idempotency-Key", p.IdempotencyKey)
	var out Deployment
	err := c.do(ctx, r, &out)
	return out, err
}

// ShowDeployment: Show a deployment with its counts.
func (c *Client) ShowDeployment(ctx context.Context, id string) (Deployment, error) {
	r := request{method: http.MethodGet, path: "/api/v1/deployments/" + url.PathEscape(id)}
	var out Deployment
	err := c.do(ctx, r, &out)
	return out, err
}

// AbortDeploymentParams are what AbortDeployment may be told; zero is not said.
type AbortDeploymentParams struct {
	IdempotencyKey string // The same key and body within 24 hours get the first answer again; another body is refused
}

// AbortDeployment: Stop a deployment: devices that have not ended are canceled.
func (c *Client) AbortDeployment(ctx context.Context, id string, p AbortDeploymentParams) (Deployment, error) {
	r := request{method: http.MethodPost, path: "/api/v1/deployments/" + url.PathEscape(id) + "/abort"}
	r.set("header", "Idempotency-Key", p.IdempotencyKey)
	var out Deployment
	err := c.do(ctx, r, &out)
	return out, err
}

// ListAssignmentsParams are what ListAssignments may be told; zero is not said.
type ListAssignmentsParams struct {
	Limit  int64  // Items on a page
	Cursor string // next_cursor of the page before
	State  string // Only these
}

// ListAssignments: List each device's part in a deployment.
func (c *Client) ListAssignments(ctx context.Context, id string, p ListAssignmentsParams) (PageAssignment, error) {
	r := request{method: http.MethodGet, path: "/api/v1/deployments/" + url.PathEscape(id) + "/assignments"}
	r.set("query", "limit", p.Limit)
	r.set("query", "cursor", p.Cursor)
	r.set("query", "state", p.State)
	var out PageAssignment
	err := c.do(ctx, r, &out)
	return out, err
}

// ShowLog: Read a device's log of a deployment.
func (c *Client) ShowLog(ctx context.Context, id string, device string) (io.ReadCloser, error) {
	r := request{method: http.MethodGet, path: "/api/v1/deployments/" + url.PathEscape(id) + "/assignments/" + url.PathEscape(device) + "/log"}
	return c.open(ctx, r)
}

// ListTransitions: List the steps that a device took, the first first.
func (c *Client) ListTransitions(ctx context.Context, id string, device string) (PageTransition, error) {
	r := request{method: http.MethodGet, path: "/api/v1/deployments/" + url.PathEscape(id) + "/assignments/" + url.PathEscape(device) + "/transitions"}
	var out PageTransition
	err := c.do(ctx, r, &out)
	return out, err
}

// RetryDeploymentParams are what RetryDeployment may be told; zero is not said.
type RetryDeploymentParams struct {
	IdempotencyKey string // The same key and body within 24 hours get the first answer again; another body is refused
}

// RetryDeployment: Give failed and rolled-back devices a fresh attempt.
func (c *Client) RetryDeployment(ctx context.Context, id string, p RetryDeploymentParams) (Retried, error) {
	r := request{method: http.MethodPost, path: "/api/v1/deployments/" + url.PathEscape(id) + "/retry"}
	r.set("header", "Idempotency-Key", p.IdempotencyKey)
	var out Retried
	err := c.do(ctx, r, &out)
	return out, err
}

// ListDevicesParams are what ListDevices may be told; zero is not said.
type ListDevicesParams struct {
	Limit   int64  // Items on a page
	Cursor  string // next_cursor of the page before
	Status  string // Only these
	Type    string // Only this device type
	Release string // Only devices that run it
	Filter  string // Inventory filter
}

// ListDevices: List devices.
func (c *Client) ListDevices(ctx context.Context, p ListDevicesParams) (PageDevice, error) {
	r := request{method: http.MethodGet, path: "/api/v1/devices"}
	r.set("query", "limit", p.Limit)
	r.set("query", "cursor", p.Cursor)
	r.set("query", "status", p.Status)
	r.set("query", "type", p.Type)
	r.set("query", "release", p.Release)
	r.set("query", "filter", p.Filter)
	var out PageDevice
	err := c.do(ctx, r, &out)
	return out, err
}

// PreauthorizeDeviceParams are what PreauthorizeDevice may be told; zero is not said.
type PreauthorizeDeviceParams struct {
	IdempotencyKey string // The same key and body within 24 hours get the first answer again; another body is refused
}

// PreauthorizeDevice: Expect a device: its first request with this key is accepted.
func (c *Client) PreauthorizeDevice(ctx context.Context, body NewDevice, p PreauthorizeDeviceParams) (Named, error) {
	r := request{method: http.MethodPost, path: "/api/v1/devices", json: body}
	r.set("header", "Idempotency-Key", p.IdempotencyKey)
	var out Named
	err := c.do(ctx, r, &out)
	return out, err
}

// CountDevices: Count devices by status.
func (c *Client) CountDevices(ctx context.Context) (DeviceCount, error) {
	r := request{method: http.MethodGet, path: "/api/v1/devices/count"}
	var out DeviceCount
	err := c.do(ctx, r, &out)
	return out, err
}

// ShowDeviceParams are what ShowDevice may be told; zero is not said.
type ShowDeviceParams struct {
	IfNoneMatch string // An ETag; 304 when it still holds
}

// ShowDevice: Show all that is known of a device.
func (c *Client) ShowDevice(ctx context.Context, id string, p ShowDeviceParams) (DeviceDetail, error) {
	r := request{method: http.MethodGet, path: "/api/v1/devices/" + url.PathEscape(id)}
	r.set("header", "If-None-Match", p.IfNoneMatch)
	var out DeviceDetail
	err := c.do(ctx, r, &out)
	return out, err
}

// DecommissionDevice: Let a device go for good; its history stays.
func (c *Client) DecommissionDevice(ctx context.Context, id string) error {
	r := request{method: http.MethodDelete, path: "/api/v1/devices/" + url.PathEscape(id)}
	return c.do(ctx, r, nil)
}

// SetDeviceStatusParams are what SetDeviceStatus may be told; zero is not said.
type SetDeviceStatusParams struct {
	IfMatch string // The ETag that the decision was made on; 412 when the device changed since
}

// SetDeviceStatus: Accept or reject a device.
func (c *Client) SetDeviceStatus(ctx context.Context, id string, body NewStatus, p SetDeviceStatusParams) error {
	r := request{method: http.MethodPut, path: "/api/v1/devices/" + url.PathEscape(id) + "/status", json: body}
	r.set("header", "If-Match", p.IfMatch)
	return c.do(ctx, r, nil)
}

// ListEnrolmentTokens: List enrolment tokens, without their secrets.
func (c *Client) ListEnrolmentTokens(ctx context.Context) (PageEnrolmentToken, error) {
	r := request{method: http.MethodGet, path: "/api/v1/enrolment-tokens"}
	var out PageEnrolmentToken
	err := c.do(ctx, r, &out)
	return out, err
}

// CreateEnrolmentToken: Make a token that lets devices in without a question.
func (c *Client) CreateEnrolmentToken(ctx context.Context, body NewEnrolmentToken) (EnrolmentToken, error) {
	r := request{method: http.MethodPost, path: "/api/v1/enrolment-tokens", json: body}
	var out EnrolmentToken
	err := c.do(ctx, r, &out)
	return out, err
}

// DeleteEnrolmentToken: Delete an enrolment token; devices that used it stay.
func (c *Client) DeleteEnrolmentToken(ctx context.Context, id string) error {
	r := request{method: http.MethodDelete, path: "/api/v1/enrolment-tokens/" + url.PathEscape(id)}
	return c.do(ctx, r, nil)
}

// WatchEventsParams are what WatchEvents may be told; zero is not said.
type WatchEventsParams struct {
	LastEventID int64  // Cursor of the last event that arrived
	After       int64  // The same, where headers cannot be set; 0 is from the beginning
	Deployment  string // Only events of this deployment
	Device      string // Only events of this device
	Kind        string // Only this kind
}

// WatchEvents: Watch what happens, as server-sent events.
func (c *Client) WatchEvents(ctx context.Context, p WatchEventsParams) (io.ReadCloser, error) {
	r := request{method: http.MethodGet, path: "/api/v1/events"}
	r.set("header", "Last-Event-ID", p.LastEventID)
	r.set("query", "after", p.After)
	r.set("query", "deployment", p.Deployment)
	r.set("query", "device", p.Device)
	r.set("query", "kind", p.Kind)
	return c.open(ctx, r)
}

// ListReleasesParams are what ListReleases may be told; zero is not said.
type ListReleasesParams struct {
	Limit  int64  // Items on a page
	Cursor string // next_cursor of the page before
}

// ListReleases: List releases.
func (c *Client) ListReleases(ctx context.Context, p ListReleasesParams) (PageRelease, error) {
	r := request{method: http.MethodGet, path: "/api/v1/releases"}
	r.set("query", "limit", p.Limit)
	r.set("query", "cursor", p.Cursor)
	var out PageRelease
	err := c.do(ctx, r, &out)
	return out, err
}

// ShowRelease: Show a release and its artifacts.
func (c *Client) ShowRelease(ctx context.Context, name string) (Release, error) {
	r := request{method: http.MethodGet, path: "/api/v1/releases/" + url.PathEscape(name)}
	var out Release
	err := c.do(ctx, r, &out)
	return out, err
}

// ListTokens: List operator tokens, without their secrets.
func (c *Client) ListTokens(ctx context.Context) (PageToken, error) {
	r := request{method: http.MethodGet, path: "/api/v1/tokens"}
	var out PageToken
	err := c.do(ctx, r, &out)
	return out, err
}

// CreateToken: Make an operator token.
func (c *Client) CreateToken(ctx context.Context, body NewToken) (Token, error) {
	r := request{method: http.MethodPost, path: "/api/v1/tokens", json: body}
	var out Token
	err := c.do(ctx, r, &out)
	return out, err
}

// DeleteToken: Delete an operator token; it stops working at once.
func (c *Client) DeleteToken(ctx context.Context, id string) error {
	r := request{method: http.MethodDelete, path: "/api/v1/tokens/" + url.PathEscape(id)}
	return c.do(ctx, r, nil)
}

// Whoami: Say which token this is and what it may do.
func (c *Client) Whoami(ctx context.Context) (Whoami, error) {
	r := request{method: http.MethodGet, path: "/api/v1/whoami"}
	var out Whoami
	err := c.do(ctx, r, &out)
	return out, err
}
