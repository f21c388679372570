package securemsg

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

// Limits of an assignment; texts in bytes.
const (
	MaxAssignment  = 4 << 10 // the whole message
	MaxID          = 64
	MaxDeviceTypes = 16
	MinChunk       = 9       // as a power of two
	MaxChunk       = 16      // as a power of two
	MaxChunks      = 1 << 17 // of one object
)

// An Assignment tells one device to install one artifact. It is the only
// message that carries a content key, and is never stored as it is.
type Assignment struct {
	Number     uint64        `cbor:"1,keyasint"`           // higher than that of every earlier assignment of this device
	Answers    uint64        `cbor:"2,keyasint,omitempty"` // number of the check-in; 0 when nobody asked
	Device     DeviceID      `cbor:"3,keyasint"`
	Expires    uint64        `cbor:"4,keyasint"` // seconds since 1970
	Deployment deployment.ID `cbor:"5,keyasint"`
	Artifact   Artifact      `cbor:"6,keyasint"`
	Object     Object        `cbor:"7,keyasint"`
}

// An Artifact names what the object becomes once it is decrypted.
type Artifact struct {
	ID          string   `cbor:"1,keyasint"`
	Name        string   `cbor:"2,keyasint"` // release name, equal to the one inside
	DeviceTypes []string `cbor:"3,keyasint"`
	Size        int64    `cbor:"4,keyasint"` // bytes
	SHA256      [32]byte `cbor:"5,keyasint"` // of all of them
}

// An Object says how the artifact's ciphertext is found, checked and read.
type Object struct {
	Root   [32]byte `cbor:"1,keyasint"` // of the tree over the ciphertext
	Nonce0 [16]byte `cbor:"2,keyasint"`
	Chunk  uint8    `cbor:"3,keyasint"` // a chunk is 2^Chunk bytes of the artifact
	Check  [16]byte `cbor:"4,keyasint"` // key check: is it this content key?
	Key    [32]byte `cbor:"5,keyasint"` // content key
}

// String leaves the content key out, so that no log gets it.
func (o Object) String() string {
	return fmt.Sprintf("object %x of 2^%d-byte chunks", o.Root[:16], o.Chunk)
}

// GoString is String, for %#v.
func (o Object) GoString() string { return o.String() }

var (
	// ErrNotMine is returned for an assignment to another device.
	ErrNotMine = errors.New("assignment is for another device")
	// ErrOld is returned for an assignment that was overtaken.
	ErrOld = errors.New("assignment is older than one that was taken")
	// ErrExpired is returned for an assignment whose time is over.
	ErrExpired = errors.New("assignment has expired")
)

// For checks that the assignment is one to act on now: for device me, later
// than the last one that was taken or that one again, and not expired. A
// device without a clock passes the time that the server said last.
func (a Assignment) For(me DeviceID, last uint64, working deployment.ID, now time.Time) error {
	switch {
	case a.Device != me:
		return fmt.Errorf("take assignment %d: %w", a.Number, ErrNotMine)
	case a.Number < last, a.Number == last && a.Deployment != working:
		return fmt.Errorf("take assignment %d after %d: %w", a.Number, last, ErrOld)
	case now.Unix() >= int64(a.Expires):
		return fmt.Errorf("take assignment %d: %w", a.Number, ErrExpired)
	}
	return nil
}

// Fleet is the assignment in the words of the fleet.
func (a Assignment) Fleet() fleet.Assignment {
	return fleet.Assignment{Deployment: a.Deployment, Artifact: fleet.Artifact{
		ID: a.Artifact.ID, Name: a.Artifact.Name, DeviceTypes: a.Artifact.DeviceTypes,
		Size: a.Artifact.Size, SHA256: hex.EncodeToString(a.Artifact.SHA256[:]),
	}}
}

// NewArtifact puts an artifact into the words of the wire.
func NewArtifact(f fleet.Artifact) (Artifact, error) {
	a := Artifact{ID: f.ID, Name: f.Name, DeviceTypes: f.DeviceTypes, Size: f.Size}
	sum, err := hex.DecodeString(f.SHA256)
	if err != nil || len(sum) != len(a.SHA256) {
		return Artifact{}, fmt.Errorf("%w: SHA-256 %.80q of artifact %s", ErrMessage, f.SHA256, f.ID)
	}
	a.SHA256 = [32]byte(sum)
	return a, a.check()
}

// Append appends the message to dst.
func (a Assignment) Append(dst []byte) ([]byte, error) { return encode(dst, a) }

func (Assignment) kind() Kind { return KindAssignment }
func (Assignment) limit() int { return MaxAssignment }

func (a Assignment) check() error {
	return first(checkNumber(a.Number), checkTime(a.Expires), checkDeployment(a.Deployment),
		a.Artifact.check(), a.Object.check(a.Artifact.Size))
}

func (a Artifact) check() error {
	if a.Size < 1 {
		return fmt.Errorf("artifact of %d bytes", a.Size)
	}
	if n := len(a.DeviceTypes); n < 1 || n > MaxDeviceTypes {
		return fmt.Errorf("%d device types, want 1 to %d", n, MaxDeviceTypes)
	}
	for _, t := range a.DeviceTypes {
		if err := checkText("device type", t, 1, device.MaxType); err != nil {
			return err
		}
	}
	return first(checkText("artifact id", a.ID, 1, MaxID), checkText("artifact name", a.Name, 1, MaxName))
}

func (o Object) check(size int64) error {
	if o.Chunk < MinChunk || o.Chunk > MaxChunk {
		return fmt.Errorf("chunks of 2^%d bytes, want 2^%d to 2^%d", o.Chunk, MinChunk, MaxChunk)
	}
	if n := (size-1)>>o.Chunk + 1; n > MaxChunks {
		return fmt.Errorf("%d chunks, at most %d", n, MaxChunks)
	}
	return nil
}

func checkDeployment(d deployment.ID) error { return checkText("deployment", string(d), 1, MaxID) }
