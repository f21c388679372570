package menderapi

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
)

func TestAttributes(t *testing.T) {
	a := inventory.Attributes{"hostname": "foo", "net": []any{"eth0", "wlan0"}, "cores": 4.0}
	want := `[{"name":"cores","value":4},{"name":"hostname","value":"foo"},{"name":"net","value":["eth0","wlan0"]}]`
	got, err := AppendAttributes(nil, a)
	if err != nil || string(got) != want {
		t.Errorf("AppendAttributes = %s, %v, want %s", got, err, want)
	}
	again, err := ParseAttributes(append(got, '\n'))
	if err != nil || !reflect.DeepEqual(again, a) {
		t.Errorf("ParseAttributes = %v, %v, want %v", again, err, a)
	}
}

func TestParseAttributesTakesMore(t *testing.T) {
	src := `[{"name":"a","value":"1","description":"d","timestamp":"t","scope":"inventory"},{"name":"a","value":"2"}]`
	got, err := ParseAttributes([]byte(src))
	if want := (inventory.Attributes{"a": "2"}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseAttributes = %v, %v, want %v", got, err, want)
	}
}

func TestAttributesRefuses(t *testing.T) {
	tests := map[string]struct {
		body string
		want error
	}{
		"object":   {`{"a":"b"}`, ErrSyntax},
		"no name":  {`[{"value":"x"}]`, ErrSyntax},
		"null":     {`[{"name":"a","value":null}]`, ErrSyntax},
		"bool":     {`[{"name":"a","value":true}]`, ErrSyntax},
		"nested":   {`[{"name":"a","value":[["x"]]}]`, ErrSyntax},
		"too many": {`[{}` + strings.Repeat(",{}", inventory.MaxAttributes) + `]`, ErrSyntax},
		"too long": {strings.Repeat(" ", MaxInventoryBody+1), fleet.ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseAttributes([]byte(tt.body)); !errors.Is(err, tt.want) {
				t.Errorf("ParseAttributes = %v, %v, want %v", got, err, tt.want)
			}
		})
	}
	if _, err := AppendAttributes(nil, inventory.Attributes{"a": true}); !errors.Is(err, inventory.ErrAttribute) {
		t.Errorf("AppendAttributes = %v, want %v", err, inventory.ErrAttribute)
	}
}

func TestErrorBody(t *testing.T) {
	body := AppendError(nil, `status "x" & more`, "1-2")
	if want := `{"error":"status \"x\" & more","request_id":"1-2"}`; string(body) != want {
		t.Errorf("AppendError = %s, want %s", body, want)
	}
	if got, want := ParseError(body), `status "x" & more`; got != want {
		t.Errorf("ParseError = %q, want %q", got, want)
	}
	if got := ParseError([]byte("<html>")); got != "" {
		t.Errorf("ParseError of a page = %q, want nothing", got)
	}
}
