package artifact_test

import (
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
)

type values = map[string]string

func TestMerge(t *testing.T) {
	installed := values{"artifact_name": "old", "artifact_group": "g", "rootfs-image.version": "1", "rootfs-image.app.version": "2",
		"data.version": "3", "a*b": "4", "device_type": "d"}
	tests := []struct {
		name      string
		provides  values
		clears    []string
		clearsSet bool
		want      values
	}{
		{"no list clears all", values{"artifact_name": "new"}, nil, false,
			values{"artifact_name": "new", "device_type": "d"}},
		{"empty list clears nothing", values{"artifact_name": "new"}, []string{}, true,
			with(installed, "artifact_name", "new")},
		{"list without its mark clears all", values{"artifact_name": "new"}, []string{"data.*"}, false,
			values{"artifact_name": "new", "device_type": "d"}},
		{"pattern", values{"artifact_name": "new", "rootfs-image.version": "9"}, []string{"rootfs-image.*", "artifact_group"}, true,
			values{"artifact_name": "new", "rootfs-image.version": "9", "data.version": "3", "a*b": "4", "device_type": "d"}},
		{"star in the middle", values{"artifact_name": "new"}, []string{"*.version"}, true,
			values{"artifact_name": "new", "artifact_group": "g", "a*b": "4", "device_type": "d"}},
		{"literal star", values{"artifact_name": "new"}, []string{`a\*b`}, true,
			without(with(installed, "artifact_name", "new"), "a*b")},
		{"everything but the device type", values{"artifact_name": "new"}, []string{"*"}, true,
			values{"artifact_name": "new", "device_type": "d"}},
		{"question mark and brackets are literal", values{"artifact_name": "new"}, []string{"data?version", "[d]ata.version"}, true,
			with(installed, "artifact_name", "new")},
		{"device type cannot be provided", values{"artifact_name": "new", "device_type": "evil"}, nil, false,
			values{"artifact_name": "new", "device_type": "d"}},
		{"prefix and suffix must not overlap", values{"artifact_name": "new"}, []string{"data.v*version"}, true,
			with(installed, "artifact_name", "new")},
		{"group replaced", values{"artifact_name": "new", "artifact_group": "h"}, []string{}, true,
			with(with(installed, "artifact_name", "new"), "artifact_group", "h")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := maps.Clone(installed)
			got := artifact.Merge(installed, tt.provides, tt.clears, tt.clearsSet)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Merge(%v, %v) = %v, want %v", tt.provides, tt.clears, got, tt.want)
			}
			if !reflect.DeepEqual(installed, before) {
				t.Error("Merge changed its argument")
			}
		})
	}
	if got := artifact.Merge(nil, values{"device_type": "evil"}, nil, false); len(got) != 0 {
		t.Errorf("Merge provides %v, want no device type", got)
	}
	if got := artifact.Merge(nil, nil, nil, false); got == nil || len(got) != 0 {
		t.Errorf("Merge(nil, nil) = %v, want an empty map", got)
	}
}

// A pattern with many stars must not take for ever.
func TestMergeManyStars(t *testing.T) {
	pattern := strings.Repeat("a*", 1000) + "b"
	got := artifact.Merge(values{strings.Repeat("a", 100_000): "x"}, nil, []string{pattern}, true)
	if len(got) != 1 {
		t.Errorf("Merge cleared %d keys, want none", 1-len(got))
	}
}

func with(m values, key, value string) values {
	m = maps.Clone(m)
	m[key] = value
	return m
}

func without(m values, key string) values {
	m = maps.Clone(m)
	delete(m, key)
	return m
}

func TestSatisfies(t *testing.T) {
	h := artifact.Header{Depends: map[string][]string{"device_type": {"a", "b"}, "artifact_name": {"old"}, "k": {"v"}}}
	met := values{"device_type": "b", "artifact_name": "old", "k": "v", "more": "x"}
	tests := []struct {
		name      string
		installed values
		unmet     string // key
		has       bool
	}{
		{"all met", met, "", false},
		{"other device type", with(met, "device_type", "c"), "device_type", true},
		{"no device type", without(met, "device_type"), "device_type", false},
		{"other artifact", with(met, "artifact_name", "older"), "artifact_name", true},
		{"key absent", without(met, "k"), "k", false},
		{"key empty", with(met, "k", ""), "k", true},
		{"nothing installed", nil, "artifact_name", false},
	}
	for _, tt := range tests {
		err := h.Satisfies(tt.installed)
		var unmet *artifact.UnmetError
		switch {
		case tt.unmet == "" && err != nil:
			t.Errorf("%s: Satisfies(%v) = %v, want nil", tt.name, tt.installed, err)
		case tt.unmet == "":
		case !errors.Is(err, artifact.ErrUnmet), !errors.As(err, &unmet), unmet.Key != tt.unmet, unmet.Has != tt.has, !strings.Contains(err.Error(), tt.unmet):
			t.Errorf("%s: Satisfies(%v) = %v, want key %s unmet", tt.name, tt.installed, err, tt.unmet)
		}
	}
	if err := (&artifact.Header{}).Satisfies(nil); err != nil {
		t.Errorf("Satisfies with nothing to depend on = %v", err)
	}
}

func TestSecurityVersion(t *testing.T) {
	tests := []struct {
		provides values
		key      string
		v        uint64
		ok, bad  bool
	}{
		{values{}, "", 0, false, false},
		{values{"rootfs-image.version": "7"}, "", 0, false, false},
		{values{"rootfs-image.security_version": "0"}, "rootfs-image.security_version", 0, true, false},
		{values{"data.app.security_version": "18446744073709551615"}, "data.app.security_version", 1<<64 - 1, true, false},
		{values{"x.security_version": "18446744073709551616"}, "", 0, false, true},
		{values{"x.security_version": "-1"}, "", 0, false, true},
		{values{"x.security_version": "+1"}, "", 0, false, true},
		{values{"x.security_version": "01"}, "", 0, false, true},
		{values{"x.security_version": " 1"}, "", 0, false, true},
		{values{"x.security_version": "1.0"}, "", 0, false, true},
		{values{"x.security_version": "0x1"}, "", 0, false, true},
		{values{"x.security_version": "1_0"}, "", 0, false, true},
		{values{"x.security_version": ""}, "", 0, false, true},
		{values{"x.security_version": "1", "y.security_version": "1"}, "", 0, false, true},
	}
	for _, tt := range tests {
		h := artifact.Header{Provides: tt.provides}
		key, v, ok, err := h.SecurityVersion()
		if key != tt.key || v != tt.v || ok != tt.ok || (err != nil) != tt.bad {
			t.Errorf("SecurityVersion of %v = %q, %d, %v, %v", tt.provides, key, v, ok, err)
		}
	}
}
