package grub

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moult-ota/moult/internal/boot/variables"
)

// Size is the length of an environment block in bytes. GRUB does not change it.
const Size = 1024

const signature = "# GRUB Environment Block\n"

// Errors for callers that branch.
var (
	ErrBlock = errors.New("not a GRUB environment block")
	ErrFull  = errors.New("environment block is full")
	ErrText  = errors.New("no GRUB variable can say this")
)

// A Block is the lines of an environment block, comments too, as they stand:
// escaped, without the signature and without what ends them.
type Block []string

// ParseBlock reads a whole block.
//
//	# GRUB Environment Block\n    signature
//	# more comments\n
//	name=value\n                  \ before each \ and newline of a value
//	##########…                   to the end
func ParseBlock(p []byte) (Block, error) {
	text, ok := bytes.CutPrefix(p, []byte(signature))
	if !ok || len(p) != Size {
		return nil, fmt.Errorf("parse %d bytes: %w", len(p), ErrBlock)
	}
	b := Block{}
	for text = bytes.TrimRight(text, "#"); len(text) > 0; {
		n := lineEnd(text)
		if n < 0 || !isLine(string(text[:n])) {
			return nil, fmt.Errorf("parse line %.40q: %w", text, ErrBlock)
		}
		b = append(b, string(text[:n]))
		text = text[n+1:]
	}
	return b, nil
}

// lineEnd is where the newline stands that no backslash escapes, or -1.
func lineEnd(p []byte) int {
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '\n':
			return i
		}
	}
	return -1
}

func isLine(line string) bool {
	name, _, ok := strings.Cut(line, "=")
	return strings.HasPrefix(line, "#") || ok && isName(name)
}

func isName(name string) bool {
	return name != "" && name[0] != '#' && !strings.ContainsAny(name, "=\\\n\x00")
}

// AppendBlock appends b as Size bytes.
func AppendBlock(dst []byte, b Block) ([]byte, error) {
	text := signature
	for _, line := range b {
		text += line + "\n"
	}
	if len(text) > Size {
		return dst, fmt.Errorf("write %d bytes into %d: %w", len(text), Size, ErrFull)
	}
	return append(dst, text+strings.Repeat("#", Size-len(text))...), nil
}

// Set returns the variables. Like GRUB it takes the last of two values.
func (b Block) Set() variables.Set {
	s := variables.Set{}
	for _, line := range b {
		if name, value, _ := strings.Cut(line, "="); isName(name) {
			s[name] = unescape(value)
		}
	}
	return s
}

// With returns b with the variables of s: each where it stood, new ones at the
// end, as GRUB and grub-editenv do.
func (b Block) With(s variables.Set) (Block, error) {
	out, seen := Block{}, map[string]bool{}
	for _, line := range b {
		name, _, _ := strings.Cut(line, "=")
		if seen[name] {
			continue // a second value would win
		}
		if value, ok := s[name]; ok {
			line, seen[name] = name+"="+escaper.Replace(value), true
		}
		out = append(out, line)
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if !isName(name) || strings.Contains(s[name], "\x00") {
			return nil, fmt.Errorf("set variable %q: %w", name, ErrText)
		}
		if !seen[name] {
			out = append(out, name+"="+escaper.Replace(s[name]))
		}
	}
	return out, nil
}

var escaper = strings.NewReplacer(`\`, `\\`, "\n", "\\\n")

// unescape drops the backslash before any character.
func unescape(value string) string {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] == '\\' && i+1 < len(value) {
			i++
		}
		b.WriteByte(value[i])
	}
	return b.String()
}
