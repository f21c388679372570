package artifact_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// FORMAT.md has a line for each rule, and for no other.
func TestFormatListsRules(t *testing.T) {
	source, err := os.ReadFile("errors.go")
	check(t, err)
	text, err := os.ReadFile("FORMAT.md")
	check(t, err)
	_, table, _ := strings.Cut(string(text), "## What a reader refuses")
	listed := regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(table, -1)
	rules := regexp.MustCompile(`Rule = "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	for _, rule := range rules {
		if !strings.Contains(table, "\n| `"+rule[1]+"` |") {
			t.Errorf("rule %s is not in FORMAT.md", rule[1])
		}
	}
	if len(listed) != len(rules) {
		t.Errorf("FORMAT.md lists %d rules, there are %d", len(listed), len(rules))
	}
}
