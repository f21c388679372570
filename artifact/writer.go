package artifact

import "io"

// A Spec says what artifact to write. Same Spec and files, same bytes.
type Spec struct {
	Name        string
	Group       string // "" for none
	DeviceTypes []string
	// DependsNames and DependsGroups: one of these must be installed; empty for any.
	DependsNames  []string
	DependsGroups []string

	PayloadType string // "" for a bootstrap artifact: provides only, no files
	Files       []Source
	Scripts     []Script
	MetaData    []byte // a JSON object, or empty
	Provides    map[string]string
	Depends     map[string][]string // each key needs one of its values
	Clears      []string            // nil omits the list: the artifact clears all provides
	// ChecksumKey is a provide that gets the SHA-256 of the only file,
	// such as rootfs-image.checksum; "" for none.
	ChecksumKey string

	Compression Compression // "" means Gzip
	Signer      Signer      // nil writes an unsigned artifact
	TempDir     string      // where the packed payload waits for its header; "" means os.TempDir
}

// A Source is a payload file to write.
type Source struct {
	Name string // no path
	Size int64  // bytes that Open's reader delivers
	// Open is called once for compressed artifacts, and twice otherwise.
	Open func() (io.ReadCloser, error)
}

// A Software is one updatable part of a device, and names its provides.
type Software struct {
	Filesystem      string  // "" means rootfs-image
	Name            string  // "" for all of the file system
	Version         string  // provided as <software>.version; "" for none
	SecurityVersion *uint64 // provided as <software>.security_version; nil for none
}

// Key returns the prefix of the software's provides: filesystem[.name].
func (s Software) Key() string { panic("soon") }

// Provides returns what s adds to Spec.Provides.
func (s Software) Provides() map[string]string { panic("soon") }

// Clears returns the patterns that an update of s clears by default.
func (s Software) Clears() []string { panic("soon") }

// Write writes an artifact of version 3. Until it returns nil, what was
// written to w is worthless.
func Write(w io.Writer, spec Spec) error { panic("soon") }

// Sign copies an artifact from src to dst with a new signature over its
// manifest, in place of the old one if any. Every other byte stays.
func Sign(dst io.Writer, src io.Reader, s Signer) error { panic("soon") }
