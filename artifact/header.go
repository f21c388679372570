package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Digest is a SHA-256 sum.
type Digest [sha256.Size]byte

// String returns d as 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText makes a Digest hexadecimal in JSON.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (d *Digest) UnmarshalText(text []byte) (err error) {
	*d, err = parseDigest(string(text))
	return err
}

// A Header says what an artifact is, what it needs and what it brings.
type Header struct {
	Version     int      `json:"version"` // of the format: 2 or 3
	Name        string   `json:"name"`
	Group       string   `json:"group,omitempty"`
	DeviceTypes []string `json:"device_types"`
	// PayloadType names the installer; empty for a bootstrap artifact, which
	// has no files and only sets provides.
	PayloadType string `json:"payload_type"`

	// Depends is what must be installed, from header-info and type-info, with
	// device_type: each key needs one of its values.
	Depends map[string][]string `json:"depends"`
	// Provides is what is installed afterwards, from header-info and
	// type-info, with artifact_name.
	Provides map[string]string `json:"provides"`
	// Clears are patterns of provides to forget. ClearsSet tells an empty list
	// from none at all, which forgets everything; see Merge.
	Clears    []string `json:"clears"`
	ClearsSet bool     `json:"clears_set"`

	Scripts  []Script        `json:"scripts,omitempty"`
	MetaData json.RawMessage `json:"meta_data,omitempty"` // a JSON object as stored, or empty
	Files    []FileSum       `json:"files"`               // in the order of the manifest

	// Compression is how the header is packed; the payload may differ.
	Compression Compression `json:"compression"`
	Signed      bool        `json:"signed"`   // there is a signature
	Verified    bool        `json:"verified"` // and one of ReaderOptions.Keys made it
}

// A Script is a state script that travels with the artifact, such as
// ArtifactInstall_Enter_00. Its name was checked; it is no path.
type Script struct {
	Name string `json:"name"`
	Body []byte `json:"-"`
}

// A FileSum is one payload file as the manifest lists it.
type FileSum struct {
	Name   string `json:"name"` // no path
	SHA256 Digest `json:"sha256"`
}

const securityVersionSuffix = ".security_version"

// SecurityVersion returns the rollback floor that the artifact claims, and
// the provide that holds it: <software>.security_version, such as
// rootfs-image.security_version. It is not ok when there is none. A value that
// is no plain decimal number, or a second such key, is an error: the caller
// must refuse, not assume zero.
func (h *Header) SecurityVersion() (key string, v uint64, ok bool, err error) {
	for k := range h.Provides {
		if !strings.HasSuffix(k, securityVersionSuffix) {
			continue
		}
		if key != "" {
			return "", 0, false, fmt.Errorf("%w: both %s and %s are provided", ErrFormat, min(k, key), max(k, key))
		}
		key = k
	}
	if key == "" {
		return "", 0, false, nil
	}
	v, err = parseSecurityVersion(h.Provides[key])
	if err != nil {
		return "", 0, false, fmt.Errorf("%w: %s: %w", ErrFormat, key, err)
	}
	return key, v, true, nil
}

func parseSecurityVersion(s string) (uint64, error) {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(v, 10) != s {
		return 0, fmt.Errorf("security version %q is not a decimal number", s)
	}
	return v, nil
}

// An UnmetError names the dependency that a device does not meet.
// errors.Is finds ErrUnmet.
type UnmetError struct {
	Key  string
	Want []string // one of these
	Got  string
	Has  bool // the device has Key, with value Got
}

func (e *UnmetError) Error() string {
	if !e.Has {
		return fmt.Sprintf("artifact needs %s=%s, the device has no %s", e.Key, strings.Join(e.Want, "|"), e.Key)
	}
	return fmt.Sprintf("artifact needs %s=%s, the device has %q", e.Key, strings.Join(e.Want, "|"), e.Got)
}

func (e *UnmetError) Unwrap() error { return ErrUnmet }

// Satisfies returns nil when installed, which includes device_type, meets
// every dependency, and else an UnmetError for the first key in sorted order.
func (h *Header) Satisfies(installed map[string]string) error {
	for _, key := range sortedKeys(h.Depends) {
		got, has := installed[key]
		if !has || !slices.Contains(h.Depends[key], got) {
			return &UnmetError{Key: key, Want: h.Depends[key], Got: got, Has: has}
		}
	}
	return nil
}
