package artifact

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	entryVersion   = "version"
	entryManifest  = "manifest"
	entrySignature = "manifest.sig"
	entryHeader    = "header.tar" // and a suffix
	entryData      = "data/0000.tar"
	dataFolder     = "data/0000/" // of payload files, in the manifest
)

// checkFileName refuses what is not one plain name inside a folder.
func checkFileName(name string) error {
	switch {
	case name == "", name == ".", name == "..":
		return fmt.Errorf("file name %q", name)
	case len(dataFolder)+len(name) > maxEntry:
		return fmt.Errorf("file name of %d bytes, at most %d are allowed", len(name), maxEntry-len(dataFolder))
	case !utf8.ValidString(name), strings.ContainsFunc(name, unfitInName):
		return fmt.Errorf("file name %q has a slash, a blank or a character that does not print", name)
	}
	return nil
}

func unfitInName(r rune) bool {
	return r == '/' || r == '\\' || unicode.IsSpace(r) || !unicode.IsPrint(r)
}

// checkText refuses names, groups and device types that are empty, long, or
// hold what does not print.
func checkText(what, s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return fmt.Errorf("%s is empty", what)
	case utf8.RuneCountInString(s) > maxName:
		return fmt.Errorf("%s is longer than %d characters", what, maxName)
	case !utf8.ValidString(s), strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%s %q has characters that do not print", what, s)
	}
	return nil
}

var scriptStates = []string{
	"ArtifactInstall", "ArtifactReboot", "ArtifactCommit",
	"ArtifactRollback", "ArtifactRollbackReboot", "ArtifactFailure",
}

// checkScriptName wants <State>_<Enter|Leave|Error>_<NN>[_<text>].
func checkScriptName(name string) error {
	if err := checkFileName(name); err != nil {
		return err
	}
	parts := strings.SplitN(name, "_", 4)
	switch {
	case len(parts) < 3, len(parts) == 4 && parts[3] == "":
		return fmt.Errorf("script %q is not named State_Action_NN", name)
	case !slices.Contains(scriptStates, parts[0]):
		return fmt.Errorf("script %q is for state %q, which is none of an artifact", name, parts[0])
	case !slices.Contains([]string{"Enter", "Leave", "Error"}, parts[1]):
		return fmt.Errorf("script %q: action %q is not Enter, Leave or Error", name, parts[1])
	case len(parts[2]) != 2 || strings.Trim(parts[2], "0123456789") != "":
		return fmt.Errorf("script %q: number %q is not two digits", name, parts[2])
	}
	return nil
}

// compressionOf returns the compression of an entry named stem and a suffix.
func compressionOf(name, stem string) (Compression, bool) {
	suffix, ok := strings.CutPrefix(name, stem)
	if !ok {
		return "", false
	}
	for _, c := range []Compression{None, Gzip, Lzma, Zstd} {
		if c.Suffix() == suffix {
			return c, true
		}
	}
	return "", false
}
