package device

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseIdentity(t *testing.T) {
	tests := []struct {
		name, in string
		want     Identity // empty: refused
	}{
		{"one attribute", `{"mac":"de:ad"}`, `{"mac":"de:ad"}`},
		{"sorted, blanks gone", "{ \"sn\":\"1\",\n \"mac\":\"2\" }\n", `{"mac":"2","sn":"1"}`},
		{"a list", `{"mac":["1","2"]}`, `{"mac":["1","2"]}`},
		{"not JSON", `mac=1`, ""},
		{"not an object", `["mac"]`, ""},
		{"empty", `{}`, ""},
		{"a number", `{"sn":1}`, ""},
		{"an object inside", `{"sn":{"a":"b"}}`, ""},
		{"an empty value", `{"sn":""}`, ""},
		{"an empty list", `{"sn":[]}`, ""},
		{"a list of numbers", `{"sn":[1]}`, ""},
		{"something behind it", `{"sn":"1"}{}`, ""},
		{"too long", `{"sn":"` + strings.Repeat("1", MaxIdentity) + `"}`, ""},
		{"too many attributes", attributes(maxAttribute + 1), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseIdentity(tt.in)
			if got != tt.want || (err == nil) != (tt.want != "") || err != nil && !errors.Is(err, ErrIdentity) {
				t.Errorf("ParseIdentity(%.60q) = %q, %v, want %q", tt.in, got, err, tt.want)
			}
		})
	}
}

func attributes(n int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(`"a%d":"b"`, i)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func FuzzParseIdentity(f *testing.F) {
	f.Add(`{"mac":"de:ad","sn":["1","2"]}`)
	f.Fuzz(func(t *testing.T, in string) {
		id, err := ParseIdentity(in)
		if err != nil {
			return
		}
		again, err := ParseIdentity(string(id))
		if again != id || err != nil {
			t.Errorf("ParseIdentity(%q) = %q, %v, not itself", id, again, err)
		}
	})
}
