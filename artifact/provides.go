package artifact

import (
	"maps"
	"slices"
	"strings"
)

// Merge returns what a device provides after installing an artifact, from
// what was installed and what the artifact's header says:
//
//	clearsSet   installed provides that stay
//	false       none: an artifact without the list describes the whole device
//	true        those that no pattern in clears matches
//
// and then provides replace or join them. Neither argument is changed.
//
// device_type belongs to the device: it stays, and no artifact replaces it.
// A rollback floor must not be kept here alone, as a pattern can clear it.
func Merge(installed, provides map[string]string, clears []string, clearsSet bool) map[string]string {
	merged := maps.Clone(provides)
	if merged == nil {
		merged = map[string]string{}
	}
	delete(merged, keyDeviceType)
	for key, value := range installed {
		_, replaced := merged[key]
		if key == keyDeviceType || !replaced && clearsSet && !matchesAny(clears, key) {
			merged[key] = value
		}
	}
	return merged
}

func matchesAny(patterns []string, key string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, key) })
}

// matches reports whether pattern covers all of key. A * stands for any run
// of characters, a backslash makes the next character literal. It needs at
// most len(pattern)*len(key) steps.
func matches(pattern, key string) bool {
	parts := splitPattern(pattern)
	if len(parts) == 1 {
		return parts[0] == key
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(key) < len(first)+len(last) || !strings.HasPrefix(key, first) || !strings.HasSuffix(key, last) {
		return false
	}
	key = key[len(first) : len(key)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(key, part)
		if i < 0 {
			return false
		}
		key = key[i+len(part):]
	}
	return true
}

// splitPattern returns the literal text between the stars.
func splitPattern(pattern string) []string {
	parts := []string{""}
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '*':
			parts = append(parts, "")
			continue
		case c == '\\' && i+1 < len(pattern):
			i++
			c = pattern[i]
		}
		parts[len(parts)-1] += string([]byte{c})
	}
	return parts
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// Provides and depends with a meaning of their own.
const (
	keyDeviceType = "device_type"
	keyName       = "artifact_name"
	keyGroup      = "artifact_group"
)
