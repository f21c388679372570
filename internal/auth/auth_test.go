package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestMay(t *testing.T) {
	tests := []struct {
		name string
		p    Principal
		s    Scope
		want bool
	}{
		{"nobody reads nothing", Principal{}, Read, false},
		{"nobody with scopes but no token", Principal{Scopes: []string{"admin"}}, Admin, false},
		{"every token reads", Principal{ID: "t"}, Read, true},
		{"reader does not deploy", Principal{ID: "t", Scopes: []string{"read"}}, Deploy, false},
		{"deployer deploys", Principal{ID: "t", Scopes: []string{"deploy"}}, Deploy, true},
		{"deployer makes no tokens", Principal{ID: "t", Scopes: []string{"deploy", "release", "device"}}, Admin, false},
		{"admin does all", Principal{ID: "t", Scopes: []string{"admin"}}, Release, true},
		{"unknown scope, even for admin", Principal{ID: "t", Scopes: []string{"admin", "launch"}}, "launch", false},
		{"empty scope", Principal{ID: "t", Scopes: []string{""}}, "", false},
	}
	for _, tt := range tests {
		err := tt.p.May(tt.s)
		if (err == nil) != tt.want {
			t.Errorf("%s: May(%q) = %v, want allowed %v", tt.name, tt.s, err, tt.want)
		}
		if err != nil && !errors.Is(err, ErrScope) {
			t.Errorf("%s: May(%q) = %v, want ErrScope", tt.name, tt.s, err)
		}
	}
}

func TestBearer(t *testing.T) {
	tests := []struct{ name, header, want string }{
		{"none", "", ""},
		{"plain", "Bearer abc", "abc"},
		{"lower case scheme", "bearer abc", "abc"},
		{"other scheme", "Basic abc", ""},
		{"scheme only", "Bearer", ""},
		{"spaces only", "Bearer   ", ""},
		{"endless", "Bearer " + strings.Repeat("a", maxToken+1), ""},
	}
	for _, tt := range tests {
		got, err := Bearer(http.Header{"Authorization": {tt.header}})
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: Bearer(%.20q) = %q, %v, want %q", tt.name, tt.header, got, err, tt.want)
		}
	}
}

func TestContext(t *testing.T) {
	p := Principal{ID: "t", Name: "ci"}
	if got := From(With(context.Background(), p)); got.ID != "t" || got.Name != "ci" {
		t.Errorf("From(With(p)) = %+v, want %+v", got, p)
	}
	if got := From(context.Background()); got.May(Read) == nil {
		t.Error("the empty context may read")
	}
}
