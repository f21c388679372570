package menderapi

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/fleet"
)

// The body of mender-client 3.4.0.
const goldenNext = `{"device_provides":{"artifact_name":"rel-2","device_type":"dev","rootfs-image.single-file.version":"rel-2"},"update_control_map":true}` + "\n"

var goldenProvides = map[string]string{
	"artifact_name": "rel-2", "device_type": "dev", "rootfs-image.single-file.version": "rel-2",
}

func TestNextRequest(t *testing.T) {
	got, err := ParseNextRequest([]byte(goldenNext))
	if err != nil || !got.ControlMap || !maps.Equal(got.Provides, goldenProvides) {
		t.Errorf("ParseNextRequest = %+v, %v, want %v with a control map", got, err, goldenProvides)
	}
	if text := string(got.Append(nil)); text+"\n" != goldenNext {
		t.Errorf("Append = %s, want %s", text, goldenNext)
	}
	again := NewNextRequest(got.Report())
	if !maps.Equal(again.Provides, goldenProvides) {
		t.Errorf("NewNextRequest(Report) = %v, want %v", again.Provides, goldenProvides)
	}
}

func TestNextV1(t *testing.T) {
	flat := `{"artifact_name":"rel-2","device_type":"dev","rootfs-image.single-file.version":"rel-2"}` + "\n"
	got, err := ParseNextV1([]byte(flat))
	if err != nil || !maps.Equal(got.Provides, goldenProvides) {
		t.Errorf("ParseNextV1 = %+v, %v, want %v", got, err, goldenProvides)
	}
	got, err = ParseNextQuery("artifact_name=rel+2&device_type=a%26b")
	want := fleet.Report{Type: "a&b", Provides: map[string]string{"artifact_name": "rel 2", "device_type": "a&b"}}
	if err != nil || !reflect.DeepEqual(got.Report(), want) {
		t.Errorf("ParseNextQuery = %+v, %v, want %+v", got.Report(), err, want)
	}
}

func TestNextRefuses(t *testing.T) {
	many := make([]string, MaxProvides+1)
	for i := range many {
		many[i] = fmt.Sprintf(`"p%d":"x"`, i)
	}
	tests := map[string]struct {
		provides string
		want     error
	}{
		"nothing":      {``, ErrSyntax},
		"no type":      {`{"artifact_name":"a"}`, ErrSyntax},
		"long type":    {`{"device_type":"` + strings.Repeat("x", 257) + `"}`, ErrSyntax},
		"number":       {`{"device_type":7}`, ErrSyntax},
		"empty name":   {`{"device_type":"d","":"x"}`, ErrSyntax},
		"long name":    {`{"device_type":"d","` + strings.Repeat("x", 257) + `":""}`, ErrSyntax},
		"long value":   {`{"device_type":"d","x":"` + strings.Repeat("x", 4097) + `"}`, ErrSyntax},
		"too many":     {`{"device_type":"d",` + strings.Join(many, ",") + `}`, ErrSyntax},
		"long request": {`{"device_type":"d"}` + strings.Repeat(" ", MaxNextBody), fleet.ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseNextV1([]byte(tt.provides)); !errors.Is(err, tt.want) {
				t.Errorf("ParseNextV1 = %v, want %v", err, tt.want)
			}
			if _, err := ParseNextRequest([]byte(`{"device_provides":` + tt.provides + `}`)); !errors.Is(err, tt.want) {
				t.Errorf("ParseNextRequest = %v, want %v", err, tt.want)
			}
		})
	}
	for _, q := range []string{"", "artifact_name=a", "device_type=d", "artifact_name=%zz&device_type=d"} {
		if _, err := ParseNextQuery(q); !errors.Is(err, ErrSyntax) {
			t.Errorf("ParseNextQuery(%q) = %v, want %v", q, err, ErrSyntax)
		}
	}
}

func TestNextReply(t *testing.T) {
	r := NextReply{
		Assignment: fleet.Assignment{Deployment: "30d0", Artifact: fleet.Artifact{
			ID: "a1", Name: "rel-2", DeviceTypes: []string{"dev"}, Size: 4096, SHA256: "ab"}},
		URI:    "https://host/d?a=1&b=2",
		Expire: time.Date(2026, 11, 23, 7, 6, 55, 0, time.UTC),
	}
	want := `{"id":"30d0","artifact":{"id":"a1","artifact_name":"rel-2","source":{"uri":"https://host/d?a=1&b=2",` +
		`"expire":"2026-11-23T07:06:55Z"},"device_types_compatible":["dev"],"size":4096,"sha256":"ab"}}`
	if got := string(r.Append(nil)); got != want {
		t.Errorf("Append = %s, want %s", got, want)
	}
	got, err := ParseNextReply([]byte(want))
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("ParseNextReply = %+v, %v, want %+v", got, err, r)
	}
}

// Another server sends no size or digest, and keys that we do not know.
func TestParseNextReplyOfOthers(t *testing.T) {
	src := `{"id":"d","type":"configuration","artifact":{"id":"a","artifact_name":"n","artifact_size":1,` +
		`"source":{"uri":"u","expire":"soon"},"device_types_compatible":["x"]},"update_control_map":{}}`
	got, err := ParseNextReply([]byte(src))
	if err != nil || got.URI != "u" || !got.Expire.IsZero() || got.Assignment.Artifact.Size != 0 {
		t.Errorf("ParseNextReply = %+v, %v, want uri u and neither expiry nor size", got, err)
	}
}

func TestParseNextReplyRefuses(t *testing.T) {
	tests := map[string]string{
		"empty":    `{}`,
		"no id":    `{"artifact":{"artifact_name":"n","source":{"uri":"u"}}}`,
		"no name":  `{"id":"d","artifact":{"source":{"uri":"u"}}}`,
		"no uri":   `{"id":"d","artifact":{"artifact_name":"n"}}`,
		"negative": `{"id":"d","artifact":{"artifact_name":"n","size":-1,"source":{"uri":"u"}}}`,
	}
	for name, src := range tests {
		if _, err := ParseNextReply([]byte(src)); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: ParseNextReply = %v, want %v", name, err, ErrSyntax)
		}
	}
}

func TestPaths(t *testing.T) {
	tests := map[string]string{
		StatusPath("30d0"):      "/api/devices/v1/deployments/device/deployments/30d0/status",
		LogPath("30d0"):         "/api/devices/v1/deployments/device/deployments/30d0/log",
		ControlMapPath("a/..b"): "/api/devices/v2/deployments/device/deployments/a%2F..b/update_control_map",
	}
	for got, want := range tests {
		if got != want {
			t.Errorf("path = %s, want %s", got, want)
		}
	}
}
