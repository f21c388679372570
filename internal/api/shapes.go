package api

import "time"

// The shapes are the API's words in JSON. They repeat the words of the rooms
// below on purpose: what those rename, the API keeps.

// Device is one device in a list.
type Device struct {
	ID        string            `json:"id"`
	Identity  map[string]any    `json:"identity" doc:"What the device calls itself: strings or lists of strings"`
	Status    string            `json:"status" enum:"pending,accepted,rejected,preauthorized,decommissioned"`
	Type      string            `json:"type,omitempty" doc:"Device type; absent until the device said so"`
	Release   string            `json:"release,omitempty" doc:"Artifact name that runs now"`
	Parent    string            `json:"parent,omitempty" doc:"Gateway in front of it"`
	Provides  map[string]string `json:"provides,omitempty" doc:"What is installed"`
	CreatedAt time.Time         `json:"created_at"`
	SeenAt    *time.Time        `json:"seen_at,omitempty" doc:"Last contact, up to a minute late"`
}

// Key is one public key that a device came with.
type Key struct {
	Fingerprint string    `json:"fingerprint" doc:"SHA-256 of the DER, hex"`
	PEM         string    `json:"pem"`
	Status      string    `json:"status"`
	CreatedAt   time.Time `json:"created_at"`
}

// DeviceDetail is all that is known of one device.
type DeviceDetail struct {
	Device
	Keys        []Key          `json:"keys"`
	Inventory   map[string]any `json:"inventory"`
	Assignments []Assignment   `json:"assignments" doc:"The newest, at most 20"`
	Version     string         `json:"version" doc:"The ETag; for If-Match"`
}

// Artifact is one uploaded update file.
type Artifact struct {
	ID              string              `json:"id"`
	Release         string              `json:"release" doc:"Artifact name"`
	SHA256          string              `json:"sha256" doc:"Of the whole file, hex"`
	Size            int64               `json:"size" doc:"Bytes of the whole file"`
	DeviceTypes     []string            `json:"device_types"`
	Depends         map[string][]string `json:"depends,omitempty"`
	Provides        map[string]string   `json:"provides,omitempty"`
	Clears          []string            `json:"clears_provides,omitempty"`
	PayloadType     string              `json:"payload_type"`
	Signed          bool                `json:"signed"`
	SecurityVersion *uint64             `json:"security_version,omitempty"`
	Note            string              `json:"note,omitempty"`
	CreatedAt       time.Time           `json:"created_at"`
}

// Release is all artifacts that share one artifact name.
type Release struct {
	Name      string     `json:"name"`
	Artifacts []Artifact `json:"artifacts"`
	CreatedAt time.Time  `json:"created_at"`
}

// Target says whom a deployment is for: exactly one of its members.
type Target struct {
	All     bool     `json:"all,omitempty" doc:"Every accepted device"`
	Type    string   `json:"type,omitempty" doc:"Every accepted device of one device type"`
	Devices []string `json:"devices,omitempty" maxItems:"10000" doc:"The devices named"`
	Filter  string   `json:"filter,omitempty" maxLength:"4096" doc:"Accepted devices that match an inventory filter now"`
}

// Deployment is one release sent to a set of devices.
type Deployment struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Release    string         `json:"release"`
	Target     Target         `json:"target"`
	Status     string         `json:"status" enum:"active,finished,aborted"`
	Retries    int            `json:"retries"`
	Size       int            `json:"size" doc:"Devices it is for"`
	Counts     map[string]int `json:"counts" doc:"Devices by state; states that nobody is in are absent"`
	CreatedAt  time.Time      `json:"created_at"`
	FinishedAt *time.Time     `json:"finished_at,omitempty"`
	CreatedBy  string         `json:"created_by,omitempty"`
}

// Assignment is one device's part in one deployment.
type Assignment struct {
	Deployment string    `json:"deployment"`
	Device     string    `json:"device"`
	State      string    `json:"state" enum:"pending,offered,downloading,installing,rebooting,trying,done,failed,rolled-back,refused,canceled,skipped"`
	Detail     string    `json:"detail,omitempty" doc:"The device's own words"`
	Artifact   string    `json:"artifact,omitempty" doc:"Chosen for it; absent until offered"`
	Bytes      int64     `json:"bytes,omitempty" doc:"Of the artifact, so far"`
	Total      int64     `json:"total,omitempty"`
	Attempt    int       `json:"attempt"`
	HasLog     bool      `json:"has_log"`
	UpdatedAt  time.Time `json:"updated_at"`
}

// Transition is one step that an assignment took.
type Transition struct {
	From   string    `json:"from"`
	To     string    `json:"to"`
	Detail string    `json:"detail,omitempty"`
	At     time.Time `json:"at"`
}

// EnrolmentToken lets devices in without a question.
type EnrolmentToken struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Uses      int        `json:"uses" doc:"How often it may be used; 0 is without limit"`
	Used      int        `json:"used"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Secret    string     `json:"secret,omitempty" doc:"Only in the answer that created it"`
}

// Token is an operator's token.
type Token struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Secret    string     `json:"secret,omitempty" doc:"Only in the answer that created it"`
}

// Event is something that happened in the fleet.
type Event struct {
	Cursor     int64     `json:"cursor"`
	At         time.Time `json:"at"`
	Kind       string    `json:"kind" enum:"device,release,deployment,assignment"`
	Device     string    `json:"device,omitempty"`
	Deployment string    `json:"deployment,omitempty"`
	State      string    `json:"state,omitempty" doc:"For kind assignment: its new state"`
	Detail     string    `json:"detail,omitempty"`
}

// A Page is one part of a list. The Link header carries the same next page.
type Page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Absent on the last page"`
}
