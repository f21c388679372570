package artifact_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
)

// Same input, same bytes: on one core or many, and with either kind of key.
func TestReproducible(t *testing.T) {
	for i, pair := range []keyPair{newECDSA(t), newRSA(t, 2048)} {
		image := bytes.Repeat(noise(70_001), 300-299*i)
		for _, c := range compressions {
			spec := rootfs(image)
			everything := spec
			everything.Compression, everything.Signer = c, pair.signer(t)
			everything.Provides = values{"a": "1", "b": "2", "c": "3", "d": "4"}
			everything.Depends = map[string][]string{"a": {"1"}, "b": {"2"}, "c": {"3", "4"}}
			everything.Scripts = []artifact.Script{{Name: "ArtifactInstall_Enter_00"}, {Name: "ArtifactCommit_Enter_00"}}
			many := write(t, everything)
			old := runtime.GOMAXPROCS(1)
			everything.Scripts = []artifact.Script{{Name: "ArtifactCommit_Enter_00"}, {Name: "ArtifactInstall_Enter_00"}}
			one := write(t, everything)
			runtime.GOMAXPROCS(old)
			if !bytes.Equal(one, many) {
				t.Errorf("%s: two writes differ", c)
			}
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*artifact.Spec)
	}{
		{"no name", func(s *artifact.Spec) { s.Name = "" }},
		{"name with blanks", func(s *artifact.Spec) { s.Name = "a b" }},
		{"long name", func(s *artifact.Spec) { s.Name = strings.Repeat("x", 257) }},
		{"no device type", func(s *artifact.Spec) { s.DeviceTypes = nil }},
		{"empty device type", func(s *artifact.Spec) { s.DeviceTypes = []string{""} }},
		{"group with control characters", func(s *artifact.Spec) { s.Group = "a\x00" }},
		{"two images", func(s *artifact.Spec) { s.Files = append(s.Files, file("b", nil)) }},
		{"no image", func(s *artifact.Spec) { s.Files = nil }},
		{"same file twice", func(s *artifact.Spec) { s.PayloadType = "m"; s.ChecksumKey = ""; s.Files = append(s.Files, s.Files[0]) }},
		{"file with a path", func(s *artifact.Spec) { s.Files[0].Name = "a/b" }},
		{"file with blanks", func(s *artifact.Spec) { s.Files[0].Name = "a b" }},
		{"file with a plus", func(s *artifact.Spec) { s.Files[0].Name = "a+b" }},
		{"file with a long name", func(s *artifact.Spec) { s.Files[0].Name = strings.Repeat("x", 91) }},
		{"type with a path", func(s *artifact.Spec) { s.PayloadType = "../x" }},
		{"files without a type", func(s *artifact.Spec) { s.PayloadType = "" }},
		{"script of no state", func(s *artifact.Spec) { s.Scripts = []artifact.Script{{Name: "x"}} }},
		{"script twice", func(s *artifact.Spec) {
			s.Scripts = []artifact.Script{{Name: "ArtifactInstall_Enter_00"}, {Name: "ArtifactInstall_Enter_00"}}
		}},
		{"name as a provide", func(s *artifact.Spec) { s.Provides = values{"artifact_name": "x"} }},
		{"device type as a depend", func(s *artifact.Spec) { s.Depends = map[string][]string{"device_type": {"x"}} }},
		{"depend without values", func(s *artifact.Spec) { s.Depends = map[string][]string{"k": nil} }},
		{"security version no number", func(s *artifact.Spec) { s.Provides = values{"rootfs-image.security_version": "1.2"} }},
		{"meta-data no object", func(s *artifact.Spec) { s.MetaData = []byte("[]") }},
		{"large meta-data", func(s *artifact.Spec) { s.MetaData = []byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`) }},
		{"xz", func(s *artifact.Spec) { s.Compression = artifact.Lzma }},
		{"unknown compression", func(s *artifact.Spec) { s.Compression = "rar" }},
		{"large scripts", func(s *artifact.Spec) {
			s.Scripts = []artifact.Script{{Name: "ArtifactInstall_Enter_00", Body: noise(9 << 20)}}
		}},
	}
	for _, tt := range tests {
		spec := rootfs([]byte("image"))
		tt.change(&spec)
		var b bytes.Buffer
		if err := artifact.Write(&b, spec); !errors.Is(err, artifact.ErrSpec) || b.Len() > 0 {
			t.Errorf("%s: Write() = %v and %d bytes, want ErrSpec", tt.name, err, b.Len())
		}
	}
}

// A file that is not what was announced makes no artifact, and leaves nothing.
func TestWriteChangingFile(t *testing.T) {
	for _, c := range compressions[:3] {
		opened := 0
		for name, source := range map[string]artifact.Source{
			"shorter": {Name: "a", Size: 10, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("short")), nil }},
			"longer":  {Name: "a", Size: 3, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("longer")), nil }},
			"gone":    {Name: "a", Size: 3, Open: func() (io.ReadCloser, error) { return nil, os.ErrNotExist }},
			"changed": {Name: "a", Size: 1, Open: func() (io.ReadCloser, error) {
				opened++
				return io.NopCloser(strings.NewReader(string(rune('a' + opened)))), nil
			}},
		} {
			if name == "changed" && c != artifact.None {
				continue // it is read once
			}
			dir := t.TempDir()
			err := artifact.Write(io.Discard, artifact.Spec{Name: "n", DeviceTypes: []string{"d"}, PayloadType: "m",
				Files: []artifact.Source{source}, Compression: c, TempDir: dir})
			left, _ := os.ReadDir(dir)
			if err == nil || len(left) > 0 {
				t.Errorf("%s, %s: Write() = %v, %d files left", c, name, err, len(left))
			}
			if name == "shorter" && !strings.Contains(err.Error(), "read a: 5 bytes, want 10") {
				t.Errorf("%s, %s: Write() = %v, which does not say what is wrong", c, name, err)
			}
		}
	}
}

func TestWriteToFullDisk(t *testing.T) {
	full := errors.New("disk is full")
	for _, c := range compressions[:3] {
		spec := rootfs(noise(100_000))
		spec.Compression, spec.TempDir = c, t.TempDir()
		for _, room := range []int{0, 700, 5000, 60_000} {
			if err := artifact.Write(&smallDisk{room, full}, spec); !errors.Is(err, full) {
				t.Errorf("%s, room for %d: Write() = %v, want %v", c, room, err, full)
			}
		}
	}
}

type smallDisk struct {
	room int
	err  error
}

func (d *smallDisk) Write(p []byte) (int, error) {
	if d.room -= len(p); d.room < 0 {
		return 0, d.err
	}
	return len(p), nil
}

// Sign changes the signature and nothing else.
func TestSignKeepsBytes(t *testing.T) {
	one, two := newECDSA(t), newRSA(t, 2048)
	for _, c := range compressions[:3] {
		spec := rootfs(noise(100_000))
		spec.Compression = c
		plain := write(t, spec)
		spec.Signer = one.signer(t)
		want := write(t, spec)
		resigned := sign(t, sign(t, plain, two), one)
		for name, got := range map[string][]byte{"first": sign(t, plain, one), "again": sign(t, want, one), "after another": resigned} {
			if !bytes.Equal(got, want) {
				t.Errorf("%s, %s: signed later differs from signed at once", c, name)
			}
		}
	}
}

func sign(t *testing.T, b []byte, pair keyPair) []byte {
	t.Helper()
	var out bytes.Buffer
	check(t, artifact.Sign(&out, bytes.NewReader(b), pair.signer(t)))
	return out.Bytes()
}

func TestSignRefuses(t *testing.T) {
	pair := newECDSA(t)
	whole := write(t, rootfs([]byte("x")))
	for name, b := range map[string][]byte{
		"empty": nil, "no artifact": []byte("hello"), "cut": whole[:1500],
		"wrong sum of version": bytes.Replace(whole, []byte(`"version":3}`), []byte(`"version":2}`), 1),
	} {
		if err := artifact.Sign(io.Discard, bytes.NewReader(b), pair.signer(t)); err == nil {
			t.Errorf("Sign of %s = nil", name)
		}
	}
}

func TestSoftware(t *testing.T) {
	five := uint64(5)
	tests := []struct {
		in       artifact.Software
		key      string
		provides values
		clears   string
	}{
		{artifact.Software{}, "rootfs-image", values{}, "artifact_group rootfs_image_checksum rootfs-image.*"},
		{artifact.Software{Name: "app", Version: "2"}, "rootfs-image.app", values{"rootfs-image.app.version": "2"}, "rootfs-image.app.*"},
		{artifact.Software{Filesystem: "data", SecurityVersion: &five}, "data", values{"data.security_version": "5"}, "data.*"},
	}
	for _, tt := range tests {
		if got := tt.in.Key(); got != tt.key {
			t.Errorf("%+v.Key() = %s, want %s", tt.in, got, tt.key)
		}
		if got := tt.in.Provides(); len(got) != len(tt.provides) || got[tt.key+".version"] != tt.provides[tt.key+".version"] ||
			got[tt.key+".security_version"] != tt.provides[tt.key+".security_version"] {
			t.Errorf("%+v.Provides() = %v, want %v", tt.in, got, tt.provides)
		}
		if got := strings.Join(tt.in.Clears(), " "); got != tt.clears {
			t.Errorf("%+v.Clears() = %s, want %s", tt.in, got, tt.clears)
		}
	}
}
