package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limits of a filter.
const (
	MaxFilter = 4 << 10 // bytes
	MaxTerms  = 32
)

// ErrFilter is returned for text that is no filter.
var ErrFilter = errors.New("bad filter")

// A Filter picks devices by their attributes. All of its terms must hold:
//
//	type:beaglebone site=berlin* fw>=1.10 note!="out of order"
//
//	name:value  name=value   equal; * in an unquoted value is any text
//	name!=value              not so, or there is no such attribute
//	name<value  <=  >  >=    attributes that are numbers by size, text by its
//	                         parts, as versions: 1.9 < 1.10
//
// A list is equal if one of its elements is. A value with spaces, or with a
// star that is meant, stands in "quotes"; \ makes the next character plain.
// Every device has the names id, type and release.
type Filter struct {
	terms []term
	text  string
}

type term struct {
	name, op string
	value    string
	glob     bool // value has stars
}

// The operators, longer ones first, so that <= is not < and "=…".
var operators = []string{"!=", "<=", ">=", ":", "=", "<", ">"}

// String returns the text that was parsed.
func (f Filter) String() string { return f.text }

// Parse reads a filter.
func Parse(text string) (Filter, error) {
	if len(text) > MaxFilter {
		return Filter{}, fmt.Errorf("%w: %d bytes, at most %d", ErrFilter, len(text), MaxFilter)
	}
	if strings.IndexByte(text, star) >= 0 {
		return Filter{}, fmt.Errorf("%w: it holds a zero byte", ErrFilter)
	}
	f := Filter{text: text}
	for rest := trim(text); rest != ""; rest = trim(rest) {
		if len(f.terms) == MaxTerms {
			return Filter{}, fmt.Errorf("%w: more than %d terms", ErrFilter, MaxTerms)
		}
		t, r, err := parseTerm(rest)
		if err != nil {
			return Filter{}, fmt.Errorf("%w: %w", ErrFilter, err)
		}
		f.terms, rest = append(f.terms, t), r
	}
	if len(f.terms) == 0 {
		return Filter{}, fmt.Errorf("%w: it is empty", ErrFilter)
	}
	return f, nil
}

const spaces = " \t\r\n"

func trim(s string) string { return strings.TrimLeft(s, spaces) }

func parseTerm(s string) (t term, rest string, err error) {
	end := strings.IndexAny(s, ":=!<>\""+spaces)
	if end < 0 {
		end = len(s)
	}
	t.name, rest = s[:end], s[end:]
	for _, op := range operators {
		if after, ok := strings.CutPrefix(rest, op); ok && t.name != "" {
			t.op = op
			t.value, t.glob, rest, err = parseValue(after)
			if err == nil && t.glob && t.op[0] != ':' && t.op[0] != '=' && t.op[0] != '!' {
				err = fmt.Errorf("%s%s: a star has no size", t.name, t.op)
			}
			return t, rest, err
		}
	}
	word := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(spaces, r) })[0]
	return t, "", fmt.Errorf("%.40q says nothing of an attribute; write name:value, such as type:%.40s", word, plain(word))
}

func plain(word string) string {
	if word = strings.Trim(word, ":=!<>\"*\\"); word == "" {
		return "beaglebone"
	}
	return word
}

// parseValue reads a value up to a space, or to its closing quote.
func parseValue(s string) (value string, glob bool, rest string, err error) {
	quote := strings.HasPrefix(s, `"`)
	if quote {
		s = s[1:]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case quote && c == '"':
			rest = s[i+1:]
			if rest != "" && !strings.ContainsAny(rest[:1], spaces) {
				return "", false, "", fmt.Errorf("a space is missing after %.40q", s[:i])
			}
			return b.String(), false, rest, nil
		case !quote && strings.IndexByte(spaces, c) >= 0:
			return finish(b.String(), s[i:])
		case !quote && c == '*':
			b.WriteByte(star)
		default:
			b.WriteByte(c)
		}
	}
	if quote {
		return "", false, "", errors.New(`a closing " is missing`)
	}
	return finish(b.String(), "")
}

// star stands for * in a value; a zero byte is no part of any attribute.
const star = 0

func finish(value, rest string) (string, bool, string, error) {
	if value == "" {
		return "", false, "", errors.New(`a value is missing; write "" for the empty one`)
	}
	return value, strings.IndexByte(value, star) >= 0, rest, nil
}

// Match reports whether a device with these attributes is picked.
func (f Filter) Match(a Attributes) bool {
	for _, t := range f.terms {
		if !t.match(a) {
			return false
		}
	}
	return true
}

func (t term) match(a Attributes) bool {
	v, ok := a[t.name]
	if t.op == "!=" {
		return !ok || !t.any(v)
	}
	return ok && t.any(v)
}

// any reports whether the value, or an element of a list, fits. For != it is
// the equality that is then denied.
func (t term) any(v any) bool {
	list, ok := v.([]any)
	if !ok {
		return t.holds(v)
	}
	for _, e := range list {
		if t.holds(e) {
			return true
		}
	}
	return false
}

func (t term) holds(v any) bool {
	got := text(v)
	switch t.op {
	case "<":
		return t.compare(v) < 0
	case "<=":
		return t.compare(v) <= 0
	case ">":
		return t.compare(v) > 0
	case ">=":
		return t.compare(v) >= 0
	}
	if t.glob {
		return like(got, t.value)
	}
	return got == t.value
}

func (t term) compare(v any) int {
	if n, ok := v.(float64); ok {
		if want, err := strconv.ParseFloat(t.value, 64); err == nil {
			return cmp.Compare(n, want)
		}
	}
	return Compare(text(v), t.value)
}

// like matches stars greedily; it takes at most len(s)·len(pattern) steps.
func like(s, pattern string) bool {
	parts := strings.Split(pattern, string(rune(star)))
	s, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, last)
}

// Compare orders text as versions: part by part, where a run of digits is a
// number, and comes after a word: 1.9 < 1.10, 1.0-rc1 < 1.0 < 1.0.1.
func Compare(a, b string) int {
	for a != "" && b != "" {
		var p, q string
		p, a = cutPart(a)
		q, b = cutPart(b)
		if c := comparePart(p, q); c != 0 {
			return c
		}
	}
	return cmp.Compare(weight(a), weight(b))
}

// weight orders what follows where one text has ended: 1.0-rc1 and 1.0~rc1
// come before 1.0, and 1.0-1 and 1.0.1 after it.
func weight(rest string) int {
	switch {
	case rest == "":
		return 0
	case len(rest) > 1 && (rest[0] == '-' || rest[0] == '~') && !digit(rest[1]):
		return -1
	}
	return 1
}

// cutPart cuts the first run of digits or of other characters.
func cutPart(s string) (part, rest string) {
	n := 1
	for n < len(s) && digit(s[n]) == digit(s[0]) {
		n++
	}
	return s[:n], s[n:]
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func comparePart(p, q string) int {
	switch {
	case digit(p[0]) && digit(q[0]):
		p, q = strings.TrimLeft(p, "0"), strings.TrimLeft(q, "0")
		return cmp.Or(cmp.Compare(len(p), len(q)), cmp.Compare(p, q))
	case digit(p[0]):
		return 1
	case digit(q[0]):
		return -1
	}
	return cmp.Compare(p, q)
}
