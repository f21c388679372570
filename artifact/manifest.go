package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// A manifest lists the SHA-256 sum of everything else in the artifact:
//
//	64 hexadecimal digits, two spaces, name, line feed
//
// The names are version, header.tar with its suffix, and data/0000/<file>.
type manifest struct {
	sums  map[string]Digest
	names []string // in the order of the lines
	left  map[string]bool
}

func parseManifest(b []byte, limits Limits) (*manifest, error) {
	m := &manifest{sums: map[string]Digest{}, left: map[string]bool{}}
	text := strings.TrimSuffix(string(b), "\n")
	for line := range strings.SplitSeq(text, "\n") {
		if err := m.parseLine(line); err != nil {
			return nil, err
		}
	}
	if len(m.names)-2 > limits.Files {
		return nil, broken(RuleSize, entryManifest, "%d files, at most %d are allowed", len(m.names)-2, limits.Files)
	}
	return m, nil
}

func (m *manifest) parseLine(line string) error {
	digits, name, ok := strings.Cut(line, "  ")
	sum, err := parseDigest(digits)
	if !ok || err != nil {
		return broken(RuleManifest, entryManifest, "line %.120q is not a sum, two spaces and a name", line)
	}
	if err := checkManifestName(name); err != nil {
		return err
	}
	if m.left[name] {
		return broken(RuleDuplicate, entryManifest, "%s is there twice", name)
	}
	m.sums[name], m.left[name] = sum, true
	m.names = append(m.names, name)
	return nil
}

func parseDigest(s string) (d Digest, err error) {
	if len(s) != hex.EncodedLen(len(d)) || strings.ToLower(s) != s {
		return d, hex.ErrLength
	}
	_, err = hex.Decode(d[:], []byte(s))
	return d, err
}

func checkManifestName(name string) error {
	if _, ok := compressionOf(name, entryHeader); ok || name == entryVersion {
		return nil
	}
	file, ok := strings.CutPrefix(name, dataFolder)
	switch {
	case ok:
		if err := checkFileName(file); err != nil {
			return broken(RuleName, entryManifest, "%v", err)
		}
		return nil
	case strings.HasPrefix(name, "data/"):
		return broken(RuleTwoPayloads, entryManifest, "%.120q is not of payload 0000", name)
	default:
		return broken(RuleUnknown, entryManifest, "%.120q is no part of an artifact", name)
	}
}

// visit marks a line as found in the artifact and returns its sum.
func (m *manifest) visit(name, where string) (Digest, error) {
	sum, listed := m.sums[name]
	if !listed {
		return sum, broken(RuleUnknown, where, "not in the manifest")
	}
	delete(m.left, name)
	return sum, nil
}

// check visits an entry whose content is b.
func (m *manifest) check(name string, b []byte) error {
	want, err := m.visit(name, name)
	if err != nil {
		return err
	}
	if got := Digest(sha256.Sum256(b)); got != want {
		return wrongSum(name, got, want)
	}
	return nil
}

func wrongSum(where string, got, want Digest) error {
	return broken(RuleChecksum, where, "SHA-256 is %v, the manifest says %v", got, want)
}

// finish refuses lines that nothing in the artifact answered.
func (m *manifest) finish() error {
	for _, name := range sortedKeys(m.left) {
		return broken(RuleUnvisited, entryManifest, "%s is not in the artifact", name)
	}
	return nil
}

func (m *manifest) files() []FileSum {
	files := []FileSum{}
	for _, name := range m.names {
		if file, ok := strings.CutPrefix(name, dataFolder); ok {
			files = append(files, FileSum{Name: file, SHA256: m.sums[name]})
		}
	}
	return files
}
