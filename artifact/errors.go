package artifact

import (
	"errors"
	"fmt"
)

// Causes that a caller branches on, with errors.Is.
var (
	// ErrFormat: the file breaks a rule of the format; see RuleError.
	ErrFormat = errors.New("not a valid artifact")
	// ErrTooLarge: something in the file exceeds Limits.
	ErrTooLarge = errors.New("over the limit")
	// ErrChecksum: bytes differ from their sum in the manifest.
	ErrChecksum = errors.New("checksum differs from the manifest")
	// ErrSignature: no key verifies the signature.
	ErrSignature = errors.New("signature is not by any accepted key")
	// ErrUnsigned: there are keys to verify with, but no signature.
	ErrUnsigned = errors.New("artifact is not signed")
	// ErrNoKey: there is no key to verify with, and reading without was not allowed.
	ErrNoKey = errors.New("no key to verify with")
	// ErrKey: a PEM block holds no key that can sign artifacts.
	ErrKey = errors.New("not a usable artifact key")
	// ErrUnmet: the device lacks what the artifact depends on; see UnmetError.
	ErrUnmet = errors.New("dependency is not met")
	// ErrSpec: Write was asked for an artifact that it will not make.
	ErrSpec = errors.New("cannot be written")
)

// A Rule names one rule of the format. FORMAT.md has a line for each.
type Rule string

// The rules, in the order in which a reader meets them.
const (
	RuleTar         Rule = "tar"          // entries are plain files in a well-formed tar
	RuleOrder       Rule = "order"        // entries come in one fixed order
	RuleUnknown     Rule = "unknown"      // there are no other entries or fields
	RuleDuplicate   Rule = "duplicate"    // nothing is there twice
	RuleMissing     Rule = "missing"      // what is required is there
	RuleName        Rule = "name"         // names are short, printable and stay in their folder
	RuleSize        Rule = "size"         // nothing exceeds Limits
	RuleTruncated   Rule = "truncated"    // the file is complete
	RuleTrailing    Rule = "trailing"     // nothing follows the end
	RuleCompression Rule = "compression"  // compressed streams decode
	RuleVersion     Rule = "version"      // version 2 or 3
	RuleManifest    Rule = "manifest"     // manifest lines are well formed
	RuleUnvisited   Rule = "unvisited"    // every manifest line has its file
	RuleChecksum    Rule = "checksum"     // every file has its sum
	RuleNoKey       Rule = "no-key"       // reading needs a key
	RuleUnsigned    Rule = "unsigned"     // with keys, a signature is required
	RuleSignature   Rule = "signature"    // the signature is by one of the keys
	RuleJSON        Rule = "json"         // JSON documents have the expected shape
	RuleType        Rule = "type"         // header-info and type-info agree on the payload type
	RuleScript      Rule = "script"       // scripts have a known state and action
	RuleTwoPayloads Rule = "two-payloads" // there is exactly one payload
)

// A RuleError says which rule a file broke, and where in the file.
// errors.Is finds its class: ErrChecksum, ErrSignature, ErrUnsigned, ErrNoKey,
// ErrTooLarge, or ErrFormat for every other rule.
type RuleError struct {
	Rule   Rule
	Where  string // path inside the artifact, such as header.tar.gz/header-info
	Detail string // what was found
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("%s: %s (rule %s)", e.Where, e.Detail, e.Rule)
}

// Unwrap returns the class of the broken rule.
func (e *RuleError) Unwrap() error {
	switch e.Rule {
	case RuleChecksum:
		return ErrChecksum
	case RuleSignature:
		return ErrSignature
	case RuleUnsigned:
		return ErrUnsigned
	case RuleNoKey:
		return ErrNoKey
	case RuleSize:
		return ErrTooLarge
	default:
		return ErrFormat
	}
}

func broken(rule Rule, where, format string, args ...any) error {
	return &RuleError{Rule: rule, Where: where, Detail: fmt.Sprintf(format, args...)}
}
