package inventory

import (
	"errors"
	"strings"
	"testing"
)

var sample = Attributes{"id": "0190", "type": "beaglebone", "release": "r-1.10", "site": "berlin west",
	"fw": "1.10", "ram": 512.0, "tags": []any{"lab", "blue", 7.0}, "star": "a*b", "quote": `say "hi"`, "empty": ""}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		filter string
		want   bool
	}{
		{"type:beaglebone", true},
		{"type=beaglebone", true},
		{"type:raspberry", false},
		{"type:beagle*", true},
		{"type:*bone", true},
		{"type:b*g*n*", true},
		{"type:b*x*n*", false},
		{"type:*", true},
		{"type:beaglebone*beaglebone", false},
		{"nosuch:*", false},
		{"type!=raspberry", true},
		{"type!=beagle*", false},
		{"nosuch!=x", true},
		{"fw>1.9", true},
		{"fw<1.9", false},
		{"fw>=1.10 fw<=1.10", true},
		{"fw>1.10-rc1", true},
		{"ram>=512", true},
		{"ram>64", true}, // as text it would not be
		{"ram<1000", true},
		{"nosuch<5", false},
		{`site:"berlin west"`, true},
		{`site:berlin\ west`, true},
		{"site:berlin*", true},
		{`star:"a*b"`, true},
		{`star:a\*b`, true},
		{`type:"beagle*"`, false},
		{`quote:"say \"hi\""`, true},
		{`empty:""`, true},
		{"tags:blue", true},
		{"tags:7", true},
		{"tags!=blue", false},
		{"tags:red", false},
		{"type:beaglebone fw:1.10", true},
		{"type:beaglebone fw:1.11", false},
		{"  type:beaglebone\t", true},
		{"id:0190 release:r-*", true},
	} {
		f, err := Parse(tt.filter)
		if err != nil {
			t.Errorf("Parse(%q) = %v", tt.filter, err)
			continue
		}
		if got := f.Match(sample); got != tt.want {
			t.Errorf("Parse(%q).Match(sample) = %v, want %v", tt.filter, got, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ filter, hint string }{
		{"", "empty"},
		{"  ", "empty"},
		{"beaglebone", "type:beaglebone"},
		{"type:x beaglebone", "type:beaglebone"},
		{":x", "name:value"},
		{"type:", "value is missing"},
		{"type: x", "value is missing"},
		{`a:"x`, "closing"},
		{`a:"x"b`, "space is missing"},
		{"a<x*", "star"},
		{"a:\x00", "zero byte"},
		{strings.Repeat("a:b ", MaxTerms+1), "terms"},
		{"a:" + strings.Repeat("b", MaxFilter), "bytes"},
	} {
		_, err := Parse(tt.filter)
		if !errors.Is(err, ErrFilter) || !strings.Contains(err.Error(), tt.hint) {
			t.Errorf("Parse(%.40q) = %v, want ErrFilter with %q", tt.filter, err, tt.hint)
		}
	}
}

func TestCompare(t *testing.T) {
	order := []string{"", "0.9", "1.0-rc1", "1.0-rc2", "1.0", "1.0.1", "1.0.02", "1.9", "1.10", "2", "10", "a", "b"}
	order = append([]string{order[0], "a", "b"}, order[1:len(order)-2]...) // words come before numbers
	for i, a := range order {
		for j, b := range order {
			got, want := Compare(a, b), 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got != want {
				t.Errorf("Compare(%q, %q) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"type:beagle* fw>=1.10", `a!="x y" b<3`, `a:\*`, "word", "a:b*c*d"} {
		f.Add(s, "beaglebone")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		p, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrFilter) {
				t.Fatalf("Parse(%q) = %v, which is no ErrFilter", text, err)
			}
			return
		}
		a := Attributes{}
		for _, term := range p.terms {
			a[term.name] = value
		}
		p.Match(a)
		p.Match(nil)
		if Compare(text, value) != -Compare(value, text) {
			t.Fatalf("Compare(%q, %q) is not the opposite of its reverse", text, value)
		}
	})
}
