package artifact

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Write writes an artifact of version 3. Until it returns nil, what was
// written to w is worthless.
//
// The manifest comes first and needs the sums of all files, so each file is
// read before the first byte is written.
func Write(w io.Writer, spec Spec) error {
	if spec.Compression == "" {
		spec.Compression = Gzip
	}
	if err := spec.check(); err != nil {
		return err
	}
	p, err := packPayload(&spec)
	if err != nil {
		return fmt.Errorf("pack payload: %w", err)
	}
	defer p.remove()
	if err := writeOuter(w, &spec, p); err != nil {
		return fmt.Errorf("write artifact: %w", err)
	}
	return nil
}

const versionText = `{"format":"mender","version":3}`

func writeOuter(w io.Writer, s *Spec, p *packed) error {
	head, err := packHeader(s, p.sums)
	if err != nil {
		return err
	}
	suffix := s.Compression.Suffix()
	manifest := manifestOf(p.sums, entryHeader+suffix, head)
	t := tar.NewWriter(w)
	if err := addBytes(t, entryVersion, []byte(versionText)); err != nil {
		return err
	}
	if err := addBytes(t, entryManifest, manifest); err != nil {
		return err
	}
	if s.Signer != nil {
		sig, err := signature(s.Signer, manifest)
		if err != nil {
			return err
		}
		if err := addBytes(t, entrySignature, sig); err != nil {
			return err
		}
	}
	if err := addBytes(t, entryHeader+suffix, head); err != nil {
		return err
	}
	if err := p.addTo(t, entryData+suffix); err != nil {
		return err
	}
	return t.Close()
}

func (p *packed) addTo(t *tar.Writer, name string) error {
	if err := t.WriteHeader(tarHeader(name, p.size)); err != nil {
		return err
	}
	if p.file != nil {
		_, err := io.CopyBuffer(struct{ io.Writer }{t}, struct{ io.Reader }{p.file}, make([]byte, copyBuffer))
		return err
	}
	sums, err := writePayload(t, p.spec)
	if err == nil && !slices.Equal(sums, p.sums) {
		err = fmt.Errorf("payload changed while it was read")
	}
	return err
}

func signature(s Signer, manifest []byte) ([]byte, error) {
	sig, err := s.Sign(manifest)
	if err != nil {
		return nil, fmt.Errorf("sign manifest: %w", err)
	}
	return base64.StdEncoding.AppendEncode(nil, sig), nil
}

// manifestOf returns the manifest: files, header, version.
func manifestOf(sums []FileSum, headerName string, header []byte) []byte {
	var b bytes.Buffer
	for _, f := range sums {
		fmt.Fprintf(&b, "%v  %s%s\n", f.SHA256, dataFolder, f.Name)
	}
	fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(header), headerName)
	fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256([]byte(versionText)), entryVersion)
	return b.Bytes()
}

// packHeader returns header.tar, packed, and refuses one that a reader with
// default limits would refuse.
func packHeader(s *Spec, sums []FileSum) ([]byte, error) {
	var b bytes.Buffer
	z, err := pack(&b, s.Compression)
	if err != nil {
		return nil, err
	}
	err = writeHeader(z, s, sums)
	if closeErr := z.Close(); err == nil {
		err = closeErr
	}
	if limit := (Limits{}).orDefaults().Header; err == nil && int64(b.Len()) > limit {
		err = fmt.Errorf("%w: header of %d bytes, at most %d are allowed", ErrSpec, b.Len(), limit)
	}
	return b.Bytes(), err
}

func writeHeader(w io.Writer, s *Spec, sums []FileSum) error {
	t := tar.NewWriter(w)
	if err := addJSON(t, "header-info", headerInfoOf(s)); err != nil {
		return err
	}
	scripts := slices.SortedFunc(slices.Values(s.Scripts), func(a, b Script) int { return strings.Compare(a.Name, b.Name) })
	for _, script := range scripts {
		if err := addBytes(t, "scripts/"+script.Name, script.Body); err != nil {
			return err
		}
	}
	if err := addJSON(t, payloadFolder+"type-info", typeInfoOf(s, sums)); err != nil {
		return err
	}
	if len(s.MetaData) > 0 || s.PayloadType == "rootfs-image" { // where older tools want the entry
		if err := addBytes(t, payloadFolder+"meta-data", s.MetaData); err != nil {
			return err
		}
	}
	return t.Close()
}

func addJSON(t *tar.Writer, name string, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	return addBytes(t, name, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

type (
	payloadText struct {
		Type *string `json:"type"`
	}
	identityText struct {
		Name  string `json:"artifact_name"`
		Group string `json:"artifact_group,omitempty"`
	}
	dependsText struct {
		Names       []string `json:"artifact_name,omitempty"`
		DeviceTypes []string `json:"device_type"`
		Groups      []string `json:"artifact_group,omitempty"`
	}
	headerInfoText struct {
		Payloads []payloadText `json:"payloads"`
		Provides identityText  `json:"artifact_provides"`
		Depends  dependsText   `json:"artifact_depends"`
	}
	typeInfoText struct {
		Type     *string           `json:"type"`
		Provides map[string]string `json:"artifact_provides,omitempty"`
		Depends  map[string]any    `json:"artifact_depends,omitempty"`
		Clears   *[]string         `json:"clears_artifact_provides,omitempty"`
	}
)

func headerInfoOf(s *Spec) headerInfoText {
	return headerInfoText{
		Payloads: []payloadText{{payloadType(s)}},
		Provides: identityText{s.Name, s.Group},
		Depends:  dependsText{s.DependsNames, s.DeviceTypes, s.DependsGroups},
	}
}

func payloadType(s *Spec) *string {
	if s.PayloadType == "" {
		return nil
	}
	return &s.PayloadType
}

// typeInfoOf writes a dependency with one value as a plain string, which is
// all that mender-client 4 and later read.
func typeInfoOf(s *Spec, sums []FileSum) typeInfoText {
	text := typeInfoText{Type: payloadType(s), Provides: s.provides(sums), Depends: map[string]any{}}
	for key, values := range s.Depends {
		text.Depends[key] = values
		if len(values) == 1 {
			text.Depends[key] = values[0]
		}
	}
	if s.Clears != nil {
		text.Clears = &s.Clears
	}
	return text
}
