package smp

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func packets(l *Lines) (all []string) {
	for p := l.Next(); p != nil; p = l.Next() {
		all = append(all, string(p))
	}
	return all
}

func TestLines(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 20)
	one := string(AppendLines(nil, []byte("one")))
	many := string(AppendLines(nil, []byte(long)))
	lines := strings.SplitAfter(many, "\n")
	for _, tt := range []struct {
		name, in string
		most     int
		want     []string
	}{
		{"one", one, 0, []string{"one"}},
		{"two", one + one, 0, []string{"one", "one"}},
		{"several lines", many, 0, []string{long}},
		{"a carriage return", strings.ReplaceAll(many, "\n", "\r\n"), 0, []string{long}},
		{"text before it on the line", "uart:~$ " + one, 0, []string{"one"}},
		{"text between lines", lines[0] + "<inf> app: 21.5\n\n" + strings.Join(lines[1:], ""), 0, []string{long}},
		{"a line missing", lines[0] + strings.Join(lines[2:], "") + one, 0, []string{"one"}},
		{"a line twice", lines[0] + lines[1] + lines[1] + strings.Join(lines[2:], "") + one, 0, []string{"one"}},
		{"cut, and begun anew", lines[0] + lines[1][:20] + "\n" + many, 0, []string{long}},
		{"cut, and begun anew on the same line", lines[0] + lines[1][:20] + one, 0, []string{"one"}},
		{"a bit wrong", strings.Replace(one, one[4:6], "zz", 1) + one, 0, []string{"one"}},
		{"not base64", "\x06\x09!!!!\n" + one, 0, []string{"one"}},
		{"no start", lines[1] + one, 0, []string{"one"}},
		{"a lot of text on the line", strings.Repeat("noise ", 1000) + one, 0, []string{"one"}},
		{"a start in the text", "\x06\x09 " + strings.Repeat("x", 3000) + "\n" + one, 0, []string{"one"}},
		{"more than most", many + one, 319, []string{"one"}},
		{"as much as most", many, 320, []string{long}},
		{"length of nothing", "\x06\x09AAA=\n" + one, 0, []string{"one"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, step := range []int{1, 7, len(tt.in)} { // bytes that come together
				l := &Lines{Most: tt.most}
				for part := range slices.Chunk([]byte(tt.in), step) {
					_, _ = l.Write(part)
				}
				if got := packets(l); strings.Join(got, "|") != strings.Join(tt.want, "|") {
					t.Errorf("%d at a time: %q, want %q", step, got, tt.want)
				}
			}
		})
	}
}

func TestLinesAreShort(t *testing.T) {
	for line := range bytes.Lines(AppendLines(nil, make([]byte, 1000))) {
		if len(line) > 127 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}
