package module_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/install/module"
)

// A desk is a folder with one module, written in shell.
type desk struct {
	*module.Installer
	dir, work string
	log       []string
}

// prologue notes every call in calls, beside the module.
const prologue = "#!/bin/sh\nset -e\necho \"$1\" >>\"$(dirname \"$0\")/calls\"\ntest \"$2\" = \"$(pwd)\"\n"

func newDesk(t *testing.T, script string) *desk {
	t.Helper()
	d := &desk{dir: t.TempDir(), work: t.TempDir()}
	if err := os.WriteFile(filepath.Join(d.dir, "files-of-mine"), []byte(prologue+script), 0o755); err != nil {
		t.Fatal(err)
	}
	i, err := module.New(module.Options{
		Folder: d.dir, Work: d.work, Kind: "files-of-mine", DeviceType: "bench", Time: 10 * time.Second,
		Provides: map[string]string{"artifact_name": "before"},
		Log:      func(level, message string) { d.log = append(d.log, level+" "+message) },
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Installer = i
	return d
}

func (d *desk) calls() string {
	text, _ := os.ReadFile(filepath.Join(d.dir, "calls"))
	return strings.Join(strings.Fields(string(text)), " ")
}

func (d *desk) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// payload packs files and opens them as the agent would. spoil, when not
// negative, is a byte counted from the end that is changed on the way.
func payload(t *testing.T, files map[string]string, spoil int) install.Payload {
	t.Helper()
	spec := artifact.Spec{Name: "after", DeviceTypes: []string{"bench"}, PayloadType: "files-of-mine", Compression: artifact.None}
	for _, name := range []string{"one", "two"} {
		if text, ok := files[name]; ok {
			spec.Files = append(spec.Files, artifact.Source{Name: name, Size: int64(len(text)), Open: func() (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader(text)), nil
			}})
		}
	}
	var out bytes.Buffer
	if err := artifact.Write(&out, spec); err != nil {
		t.Fatal(err)
	}
	stored := out.Bytes()
	if spoil >= 0 {
		at := bytes.LastIndex(stored, []byte(files["two"])) + spoil
		stored[at] ^= 1
	}
	r, err := artifact.NewReader(bytes.NewReader(stored), artifact.ReaderOptions{AllowUnsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	return install.Payload{Header: r.Header(), Next: r.Next}
}

var both = map[string]string{"one": strings.Repeat("first ", 40_000), "two": "second"}

// streaming is how modules read their payload.
const streaming = `
case "$1" in
Download|DownloadWithFileSizes)
	while line="$(cat stream-next)"; test -n "$line"; do
		echo "$line" >>"$(dirname "$0")/lines"
		cat "${line%% *}" >"$(dirname "$0")/$(basename "${line%% *}")"
	done ;;
`

func TestStreams(t *testing.T) {
	d := newDesk(t, streaming+"esac")
	if _, err := d.Write(t.Context(), payload(t, both, -1)); err != nil {
		t.Fatal(err)
	}
	for name, want := range both {
		if got := d.read(t, name); got != want {
			t.Errorf("%s has %d bytes, want %d", name, len(got), len(want))
		}
	}
	if got := d.read(t, "lines"); got != "streams/one\nstreams/two\n" {
		t.Errorf("stream-next said %q", got)
	}
}

func TestStreamsWithSizes(t *testing.T) {
	d := newDesk(t, streaming+"ProvidePayloadFileSizes) echo Yes ;;\nesac")
	if _, err := d.Write(t.Context(), payload(t, both, -1)); err != nil {
		t.Fatal(err)
	}
	if got := d.read(t, "lines"); got != "streams/one 240000\nstreams/two 6\n" {
		t.Errorf("stream-next said %q", got)
	}
}

// TestStores plays a whole update of a module that reads nothing itself.
func TestStores(t *testing.T) {
	d := newDesk(t, `case "$1" in
ArtifactInstall) cp files/two "$(dirname "$0")/two"; cat current_artifact_name header/artifact_name >"$(dirname "$0")/names" ;;
esac`)
	ctx := t.Context()
	w, err := d.Write(ctx, payload(t, both, -1))
	if err != nil {
		t.Fatal(err)
	}
	boot, err := d.Activate(ctx, w)
	if boot || err != nil {
		t.Fatalf("Activate() = %v, %v", boot, err)
	}
	if err := errors.Join(d.Verify(ctx, w), d.Confirm(ctx, w), d.Clean(ctx)); err != nil {
		t.Fatal(err)
	}
	if got := d.read(t, "two") + " " + d.read(t, "names"); got != "second beforeafter" {
		t.Errorf("the module found %q", got)
	}
	const want = "ProvidePayloadFileSizes Download ArtifactInstall NeedsArtifactReboot ArtifactCommit Cleanup"
	if got := d.calls(); got != want {
		t.Errorf("calls %q, want %q", got, want)
	}
	if left, _ := filepath.Glob(filepath.Join(d.work, "payloads", "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := errors.Join(d.Confirm(ctx, w), d.RollBack(ctx, w, 0), d.Clean(ctx)); err != nil {
		t.Errorf("asked again after the end: %v", err)
	}
}

func TestAutomaticBoot(t *testing.T) {
	d := newDesk(t, `case "$1" in NeedsArtifactReboot) echo Automatic ;; ArtifactVerifyReboot) exit 1 ;; SupportsRollback) echo Yes ;; esac`)
	ctx := t.Context()
	w, err := d.Write(ctx, payload(t, both, -1))
	if err != nil {
		t.Fatal(err)
	}
	if boot, err := d.Activate(ctx, w); !boot || err != nil {
		t.Fatalf("Activate() = %v, %v", boot, err)
	}
	if err := d.Verify(ctx, w); err == nil {
		t.Error("Verify passed, though the module was not content")
	}
	if err := d.RollBack(ctx, w, 0); err != nil {
		t.Error(err)
	}
	const want = "ArtifactInstall NeedsArtifactReboot ArtifactVerifyReboot SupportsRollback ArtifactRollback ArtifactFailure"
	if got := d.calls(); !strings.HasSuffix(got, want) {
		t.Errorf("calls %q, want %q at the end", got, want)
	}
}

func TestBadModules(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"download fails", `test "$1" != Download`, "exit status 1"},
		{"half is read", `test "$1" != Download || cat "$(cat stream-next)" >/dev/null`, "exited"},
		{"strange answer", `echo Perhaps`, "unexpected reply"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newDesk(t, tt.script).Write(t.Context(), payload(t, both, -1))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Write() = %v, want %q in it", err, tt.want)
			}
		})
	}
}

// TestSpoiltOnTheWay: what differs from the manifest is an error, whatever the
// module thinks of it.
func TestSpoiltOnTheWay(t *testing.T) {
	for name, script := range map[string]string{"streamed": streaming + "esac", "stored": ":"} {
		_, err := newDesk(t, script).Write(t.Context(), payload(t, both, 2))
		if !errors.Is(err, artifact.ErrChecksum) {
			t.Errorf("%s: Write() = %v, want %v", name, err, artifact.ErrChecksum)
		}
	}
}

func TestHangingModuleIsStopped(t *testing.T) {
	d := newDesk(t, `test "$1" != Download || exec sleep 60`)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := d.Write(ctx, payload(t, both, -1)); err == nil {
		t.Error("Write passed")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestNoSuchModule(t *testing.T) {
	for _, kind := range []string{"", "missing", "../module", ".hidden"} {
		if _, err := module.New(module.Options{Folder: t.TempDir(), Kind: kind}); !errors.Is(err, module.ErrNone) {
			t.Errorf("New(%q) = %v, want %v", kind, err, module.ErrNone)
		}
	}
}
