package store

import "time"

// An Artifact is one uploaded update file.
type Artifact struct {
	ID          string
	Release     string // artifact name, shared by all artifacts of the release
	SHA256      string // hex, of the whole file
	Size        int64  // bytes
	DeviceTypes []string
	Depends     map[string][]string // what must be installed, device_type included
	Provides    map[string]string   // what is installed afterwards
	Clears      []string            // patterns of provides to forget
	ClearsSet   bool                // false: the artifact forgets all provides
	PayloadType string              // empty for a bootstrap artifact
	Signed      bool
	// SecurityVersion is the rollback floor that the artifact claims; nil for none.
	SecurityVersion *uint64
	Note            string
	CreatedAt       time.Time
}
