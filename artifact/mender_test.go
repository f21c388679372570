package artifact_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
)

// mender runs the real tool, without which these tests fail.
func mender(t testing.TB, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("mender-artifact")
	if err != nil {
		t.Fatal("install the package mender-artifact: these tests run the real tool")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("mender-artifact %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// What we write, mender-artifact accepts and prints right.
func TestMenderReadsOurs(t *testing.T) {
	ec, rsa := newECDSA(t), newRSA(t, 3072)
	image := bytes.Repeat(noise(70_001), 40)
	tests := []struct {
		name   string
		change func(*artifact.Spec)
		key    *keyPair
		want   []string // in what read prints
	}{
		{"gzip, unsigned", func(s *artifact.Spec) {}, nil, []string{
			"Name: release-1", "Version: 3", "Signature: no signature", "'[raspberrypi4 qemu]'",
			"Type:   rootfs-image", "rootfs-image.version: release-1", "name:     rootfs.ext4", "size:     2800040",
			`Clears Provides: ["artifact_group", "rootfs_image_checksum", "rootfs-image.*"]`}},
		{"none, ECDSA", func(s *artifact.Spec) { s.Compression = artifact.None }, &ec, []string{"signed and verified correctly"}},
		{"gzip, RSA", func(s *artifact.Spec) {}, &rsa, []string{"signed and verified correctly"}},
		{"module with everything", everything, &ec, []string{
			"Type:   single-file", "Provides group: group-1", "ArtifactInstall_Enter_00_stop", "ArtifactCommit_Leave_99",
			"data-partition.app.version: 7", "data-partition.app.security_version: 12",
			"Depends on one of artifact(s): [release-0, release-00]", "Depends on one of group(s): [group-0]",
			"rootfs-image.version: release-0", `"dest": "/opt"`, "name:     a.txt", "name:     b.txt"}},
		{"bootstrap", func(s *artifact.Spec) {
			*s = artifact.Spec{Name: "b", DeviceTypes: []string{"d"}, Provides: map[string]string{"rootfs-image.version": "b"}}
		}, nil, []string{"Type:   Empty type"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec := rootfs(image)
			tt.change(&spec)
			args := []string{}
			if tt.key != nil {
				spec.Signer = tt.key.signer(t)
				args = []string{"-k", save(t, "key.pub", tt.key.Public)}
			}
			path := save(t, "ours.mender", write(t, spec))
			mender(t, append(append([]string{"validate"}, args...), path)...)
			got := mender(t, append(append([]string{"read"}, args...), path)...)
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("mender-artifact read does not print %q:\n%s", want, got)
				}
			}
		})
	}
}

func everything(s *artifact.Spec) {
	floor := uint64(12)
	software := artifact.Software{Filesystem: "data-partition", Name: "app", Version: "7", SecurityVersion: &floor}
	*s = artifact.Spec{
		Name: "everything-1", Group: "group-1", DeviceTypes: []string{"raspberrypi4"},
		DependsNames: []string{"release-0", "release-00"}, DependsGroups: []string{"group-0"},
		PayloadType: "single-file",
		Files:       []artifact.Source{file("a.txt", []byte("alpha")), file("b.txt", nil)},
		Scripts: []artifact.Script{
			{Name: "ArtifactInstall_Enter_00_stop", Body: []byte("#!/bin/sh\nexit 0\n")},
			{Name: "ArtifactCommit_Leave_99", Body: []byte("#!/bin/sh\n")},
		},
		MetaData: []byte(`{"dest":"/opt","n":3}`),
		Provides: software.Provides(), Clears: software.Clears(),
		Depends: map[string][]string{"rootfs-image.version": {"release-0"}},
	}
}

// What mender-artifact writes, we read byte for byte.
func TestWeReadMenders(t *testing.T) {
	ec, rsa := newECDSA(t), newRSA(t, 2048)
	dir := t.TempDir()
	image := bytes.Repeat(noise(70_001), 40)
	files := map[string]string{"rootfs.ext4": string(image), "a.txt": "alpha", "b.txt": ""}
	for name, body := range files {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600))
	}
	check(t, os.WriteFile(filepath.Join(dir, "meta"), []byte(`{"dest":"/opt","n":3}`), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "ArtifactInstall_Enter_00"), []byte("#!/bin/sh\n"), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "ec.pem"), ec.Traditional, 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "rsa.pem"), rsa.Traditional, 0o600))
	in := func(name string) string { return filepath.Join(dir, name) }

	rootfsArgs := []string{"rootfs-image", "-n", "r1", "-t", "dev", "-f", in("rootfs.ext4")}
	moduleArgs := []string{"module-image", "-T", "single-file", "-n", "m1", "-t", "dev", "-t", "dev2",
		"-f", in("a.txt"), "-f", in("b.txt"), "-m", in("meta"), "-s", in("ArtifactInstall_Enter_00"),
		"-g", "g1", "-N", "m0", "-G", "g0", "-p", "k:v", "-d", "need:this"}
	for _, compression := range []string{"none", "gzip", "lzma"} {
		for _, signed := range []struct {
			name string
			args []string
			keys []artifact.Verifier
		}{
			{"unsigned", nil, nil},
			{"ecdsa", []string{"-k", in("ec.pem")}, []artifact.Verifier{rsa.verifier(t), ec.verifier(t)}},
			{"rsa", []string{"-k", in("rsa.pem")}, []artifact.Verifier{rsa.verifier(t)}},
		} {
			for _, kind := range []struct {
				name  string
				args  []string
				check func(*testing.T, content)
			}{
				{"rootfs", rootfsArgs, func(t *testing.T, c content) { checkRootfs(t, c, files) }},
				{"rootfs v2", append(rootfsArgs, "-v", "2"), func(t *testing.T, c content) { checkVersion2(t, c, files) }},
				{"module", moduleArgs, func(t *testing.T, c content) { checkModule(t, c, files) }},
			} {
				t.Run(compression+"/"+signed.name+"/"+kind.name, func(t *testing.T) {
					path := filepath.Join(t.TempDir(), "theirs.mender")
					args := append([]string{"write"}, kind.args...)
					args = append(args, "--compression", compression, "-o", path)
					mender(t, append(args, signed.args...)...)
					b, err := os.ReadFile(path)
					check(t, err)
					for _, ahead := range []bool{false, true} {
						got, err := readAll(bytes.NewReader(b), artifact.ReaderOptions{
							Keys: signed.keys, AllowUnsigned: signed.keys == nil, ReadAhead: ahead})
						check(t, err)
						if got.Header.Verified != (signed.keys != nil) || string(got.Header.Compression) != compression {
							t.Errorf("verified %v, compression %s", got.Header.Verified, got.Header.Compression)
						}
						kind.check(t, got)
					}
				})
			}
		}
	}
}

func checkRootfs(t *testing.T, c content, files map[string]string) {
	t.Helper()
	if c.Files["rootfs.ext4"] != files["rootfs.ext4"] || len(c.Files) != 1 {
		t.Error("rootfs.ext4 differs")
	}
	h := c.Header
	if h.Version != 3 || h.Name != "r1" || h.PayloadType != "rootfs-image" || h.Provides["rootfs-image.version"] != "r1" ||
		h.Provides["rootfs-image.checksum"] != h.Files[0].SHA256.String() || !h.ClearsSet || len(h.Clears) != 3 {
		t.Errorf("header is %+v", h)
	}
}

func checkVersion2(t *testing.T, c content, files map[string]string) {
	t.Helper()
	if c.Files["rootfs.ext4"] != files["rootfs.ext4"] || len(c.Files) != 1 {
		t.Error("rootfs.ext4 differs")
	}
	h := c.Header
	if h.Version != 2 || h.Name != "r1" || h.PayloadType != "rootfs-image" || h.ClearsSet ||
		!reflect.DeepEqual(h.Provides, map[string]string{"artifact_name": "r1"}) {
		t.Errorf("header is %+v", h)
	}
}

func checkModule(t *testing.T, c content, files map[string]string) {
	t.Helper()
	if want := map[string]string{"a.txt": files["a.txt"], "b.txt": files["b.txt"]}; !reflect.DeepEqual(c.Files, want) {
		t.Errorf("files are %q, want %q", c.Files, want)
	}
	h := *c.Header
	for i := range h.Files {
		h.Files[i].SHA256 = artifact.Digest{}
	}
	want := artifact.Header{
		Version: 3, Name: "m1", Group: "g1", DeviceTypes: []string{"dev", "dev2"}, PayloadType: "single-file",
		Depends: map[string][]string{"device_type": {"dev", "dev2"}, "artifact_name": {"m0"}, "artifact_group": {"g0"}, "need": {"this"}},
		Provides: map[string]string{"artifact_name": "m1", "artifact_group": "g1", "k": "v",
			"rootfs-image.single-file.version": "m1"},
		Clears: []string{"rootfs-image.single-file.*"}, ClearsSet: true,
		Scripts:     []artifact.Script{{Name: "ArtifactInstall_Enter_00", Body: []byte("#!/bin/sh\n")}},
		MetaData:    []byte(`{"dest":"/opt","n":3}`),
		Files:       []artifact.FileSum{{Name: "a.txt"}, {Name: "b.txt"}},
		Compression: h.Compression, Signed: h.Signed, Verified: h.Verified,
	}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("header is\n%+v, want\n%+v", h, want)
	}
}
