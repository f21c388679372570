package control

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/store"
)

// A Control is the control plane. It implements fleet.Core.
type Control struct{}

var _ fleet.Core = (*Control)(nil)

// New opens the control plane.
func New(o Options) (*Control, error) { panic("soon") }

// Run does the background work: it writes last contacts and byte counts in
// batches, follows what other servers on the same store did, and forgets what
// is past its time. It returns after ctx ended and everything was written.
func (c *Control) Run(ctx context.Context) error { panic("soon") }

// Words of the store that operators see.
type (
	Artifact       = store.Artifact
	EnrolmentToken = store.EnrolmentToken
	Token          = store.Token
)

// A DeviceQuery picks devices; zero fields pick all.
type DeviceQuery struct {
	Status  device.Status
	Type    string
	Release string
	Filter  string // in the language of package inventory
	Page
}

// A DeviceDetail is all that the fleet knows of one device.
type DeviceDetail struct {
	device.Device
	Keys        []device.Key // oldest first
	Inventory   inventory.Attributes
	Assignments []deployment.Assignment // newest first, at most 20
	Version     string                  // changes with the device's standing; for ifMatch
}

func (c *Control) Devices(ctx context.Context, q DeviceQuery) (List[device.Device], error) {
	panic("soon")
}
func (c *Control) Device(ctx context.Context, id device.ID) (DeviceDetail, error)  { panic("soon") }
func (c *Control) CountDevices(ctx context.Context) (map[device.Status]int, error) { panic("soon") }
func (c *Control) SetDeviceStatus(ctx context.Context, id device.ID, s device.Status, fingerprint, ifMatch string) error {
	panic("soon")
}
func (c *Control) Preauthorize(ctx context.Context, identity device.Identity, keyPEM string) (device.ID, error) {
	panic("soon")
}
func (c *Control) Decommission(ctx context.Context, id device.ID) error { panic("soon") }
func (c *Control) CreateEnrolmentToken(ctx context.Context, name string, uses int, ttl time.Duration) (t EnrolmentToken, secret string, err error) {
	panic("soon")
}
func (c *Control) EnrolmentTokens(ctx context.Context) ([]EnrolmentToken, error) { panic("soon") }
func (c *Control) DeleteEnrolmentToken(ctx context.Context, id string) error     { panic("soon") }

// A Release is all artifacts that share one name.
type Release struct {
	Name      string
	Artifacts []Artifact // oldest first
	CreatedAt time.Time
}

func (c *Control) Upload(ctx context.Context, r io.Reader, note string) (Artifact, error) {
	panic("soon")
}
func (c *Control) Releases(ctx context.Context, p Page) (List[Release], error) { panic("soon") }
func (c *Control) Release(ctx context.Context, name string) (Release, error)   { panic("soon") }
func (c *Control) DeleteArtifact(ctx context.Context, id string) error         { panic("soon") }
func (c *Control) OpenArtifact(ctx context.Context, id string) (io.ReadSeekCloser, Artifact, error) {
	panic("soon")
}

// A NewDeployment asks for a deployment.
type NewDeployment struct {
	Name      string // empty means the release's name
	Release   string
	Target    deployment.Target
	Retries   int // fresh attempts per device, 0 to MaxRetries
	CreatedBy string
}

// A DeploymentQuery picks deployments; zero fields pick all.
type DeploymentQuery struct {
	Status  deployment.Status
	Release string
	Page
}

// An AssignmentQuery picks assignments; a zero State picks all.
type AssignmentQuery struct {
	State deployment.State
	Page
}

func (c *Control) CreateDeployment(ctx context.Context, n NewDeployment) (deployment.Deployment, error) {
	panic("soon")
}
func (c *Control) Deployments(ctx context.Context, q DeploymentQuery) (List[deployment.Deployment], error) {
	panic("soon")
}
func (c *Control) Deployment(ctx context.Context, id deployment.ID) (deployment.Deployment, error) {
	panic("soon")
}
func (c *Control) AbortDeployment(ctx context.Context, id deployment.ID) error { panic("soon") }
func (c *Control) RetryDeployment(ctx context.Context, id deployment.ID) (n int, err error) {
	panic("soon")
}
func (c *Control) Assignments(ctx context.Context, id deployment.ID, q AssignmentQuery) (List[deployment.Assignment], error) {
	panic("soon")
}
func (c *Control) Transitions(ctx context.Context, id deployment.ID, dev device.ID) ([]deployment.Transition, error) {
	panic("soon")
}

// DeploymentLog returns a device's log of a deployment, at most fleet.MaxLog bytes.
func (c *Control) DeploymentLog(ctx context.Context, id deployment.ID, dev device.ID) ([]byte, error) {
	panic("soon")
}

func (c *Control) CreateToken(ctx context.Context, name string, scopes []string, ttl time.Duration) (t Token, secret string, err error) {
	panic("soon")
}
func (c *Control) Tokens(ctx context.Context) ([]Token, error)                  { panic("soon") }
func (c *Control) DeleteToken(ctx context.Context, id string) error             { panic("soon") }
func (c *Control) CheckToken(ctx context.Context, secret string) (Token, error) { panic("soon") }
func (c *Control) FirstStart(ctx context.Context) (secret string, err error)    { panic("soon") }
func (c *Control) ResetOperator(ctx context.Context) (secret string, err error) { panic("soon") }
func (c *Control) Idempotent(ctx context.Context, key string, bodyHash []byte, do func() (status int, body []byte, err error)) (status int, body []byte, replayed bool, err error) {
	panic("soon")
}

// Secret returns 32 random bytes that were made once and are kept under name.
func (c *Control) Secret(ctx context.Context, name string) ([]byte, error) { panic("soon") }
func (c *Control) Ready(ctx context.Context) error                         { panic("soon") }

func (c *Control) Enroll(ctx context.Context, cr fleet.Credential) (device.ID, error) { panic("soon") }
func (c *Control) CheckIn(ctx context.Context, id device.ID, r fleet.Report) (fleet.Assignment, error) {
	panic("soon")
}
func (c *Control) Progress(ctx context.Context, id device.ID, p fleet.Progress) error { panic("soon") }
func (c *Control) Describe(ctx context.Context, id device.ID, a inventory.Attributes, replace bool) error {
	panic("soon")
}
func (c *Control) Log(ctx context.Context, id device.ID, d deployment.ID, log io.Reader) error {
	panic("soon")
}
func (c *Control) Open(ctx context.Context, id device.ID, d deployment.ID) (fleet.Content, error) {
	panic("soon")
}
func (c *Control) Watch(ctx context.Context, after fleet.Cursor) iter.Seq2[fleet.Event, error] {
	panic("soon")
}
