package artifact

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

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
	Depends     map[string][]string // each key needs one of its values; several break mender-client 4 and later
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
func (s Software) Key() string {
	key := s.Filesystem
	if key == "" {
		key = "rootfs-image"
	}
	if s.Name != "" {
		key += "." + s.Name
	}
	return key
}

// Provides returns what s adds to Spec.Provides.
func (s Software) Provides() map[string]string {
	provides := map[string]string{}
	if s.Version != "" {
		provides[s.Key()+".version"] = s.Version
	}
	if s.SecurityVersion != nil {
		provides[s.Key()+securityVersionSuffix] = fmt.Sprint(*s.SecurityVersion)
	}
	return provides
}

// Clears returns the patterns that an update of s clears by default.
func (s Software) Clears() []string {
	if s.Key() == "rootfs-image" {
		return []string{keyGroup, "rootfs_image_checksum", "rootfs-image.*"}
	}
	return []string{s.Key() + ".*"}
}

// check refuses what no reader should be asked to accept. Errors satisfy ErrSpec.
func (s *Spec) check() error {
	for _, check := range []func() error{s.checkTexts, s.checkFiles, s.checkScripts, s.checkProvides, s.checkMetaData, s.checkCompression} {
		if err := check(); err != nil {
			return fmt.Errorf("artifact %q: %w: %w", s.Name, ErrSpec, err)
		}
	}
	return nil
}

func (s *Spec) checkTexts() error {
	if len(s.DeviceTypes) == 0 {
		return fmt.Errorf("no device type")
	}
	texts := map[string][]string{
		"artifact name": {s.Name}, "device type": s.DeviceTypes,
		"artifact name to depend on": s.DependsNames, "group to depend on": s.DependsGroups,
	}
	if s.Group != "" {
		texts["group"] = []string{s.Group}
	}
	for _, what := range sortedKeys(texts) {
		for _, text := range texts[what] {
			if err := checkText(what, text); err != nil {
				return err
			}
		}
	}
	if strings.ContainsAny(s.Name, " \t\n") {
		return fmt.Errorf("artifact name %q has blanks", s.Name)
	}
	return nil
}

// portable are the characters of file names that every tool accepts.
const portable = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.,"

func (s *Spec) checkFiles() error {
	seen := map[string]bool{}
	for _, f := range s.Files {
		if err := checkFileName(f.Name); err != nil {
			return err
		}
		if strings.Trim(f.Name, portable) != "" {
			return fmt.Errorf("file name %q: use letters, digits and _-., only", f.Name)
		}
		if seen[f.Name] {
			return fmt.Errorf("two files are named %s", f.Name)
		}
		seen[f.Name] = true
	}
	switch {
	case s.PayloadType == "" && len(s.Files)+len(s.MetaData) > 0:
		return fmt.Errorf("files or meta-data without a payload type")
	case s.PayloadType == "rootfs-image" && len(s.Files) != 1, s.ChecksumKey != "" && len(s.Files) != 1:
		return fmt.Errorf("%d files, want one", len(s.Files))
	case s.PayloadType != "":
		return checkFileName(s.PayloadType)
	}
	return nil
}

func (s *Spec) checkScripts() error {
	seen := map[string]bool{}
	for _, script := range s.Scripts {
		if err := checkScriptName(script.Name); err != nil {
			return err
		}
		if seen[script.Name] {
			return fmt.Errorf("two scripts are named %s", script.Name)
		}
		seen[script.Name] = true
	}
	return nil
}

func (s *Spec) checkProvides() error {
	reserved := []string{keyName, keyGroup, keyDeviceType}
	keys := slices.Concat(sortedKeys(s.Provides), sortedKeys(s.Depends))
	for _, key := range keys {
		if key == "" || slices.Contains(reserved, key) {
			return fmt.Errorf("key %q of provides or depends has its own field", key)
		}
	}
	for key, values := range s.Depends {
		if len(values) == 0 {
			return fmt.Errorf("dependency %s has no value", key)
		}
	}
	h := Header{Provides: s.Provides}
	_, _, _, err := h.SecurityVersion()
	return err
}

func (s *Spec) checkMetaData() error {
	if len(s.MetaData) == 0 {
		return nil
	}
	if len(s.MetaData) > maxJSON {
		return fmt.Errorf("meta-data of %d bytes, at most %d are allowed", len(s.MetaData), maxJSON)
	}
	_, err := parseObject(s.MetaData, "meta-data")
	return err
}

func (s *Spec) checkCompression() error {
	c, err := ParseCompression(string(s.Compression))
	if err == nil && c == Lzma {
		err = fmt.Errorf("compression lzma is for reading only")
	}
	return err
}

// provides returns the provides of type-info.
func (s *Spec) provides(sums []FileSum) map[string]string {
	provides := map[string]string{}
	maps.Copy(provides, s.Provides)
	if s.ChecksumKey != "" {
		provides[s.ChecksumKey] = sums[0].SHA256.String()
	}
	return provides
}
