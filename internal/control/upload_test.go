package control_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/uuid"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
)

func rnd() string { return uuid.NewString() }

func TestUploadTwiceIsOneArtifact(t *testing.T) {
	f := newFixture(t)
	a, b := f.upload(spec("r2", "x")), f.upload(spec("r2", "x"))
	if a.ID != b.ID {
		t.Errorf("the same bytes became artifacts %s and %s", a.ID, b.ID)
	}
	r, err := f.Release(ctx, "r2")
	f.must(err)
	if len(r.Artifacts) != 1 || r.Artifacts[0].DeviceTypes[0] != "x" || r.Artifacts[0].PayloadType != "single-file" {
		t.Errorf("Release = %+v, want one artifact", r)
	}
}

func TestUploadConflict(t *testing.T) {
	f := newFixture(t)
	f.upload(spec("r2", "x", "y"))
	f.upload(spec("r2", "z"))
	patch := spec("r2", "x")
	patch.Depends = map[string][]string{"a": {"1"}}
	f.upload(patch)
	if _, err := f.Upload(ctx, bytes.NewReader(written(t, spec("r2", "y", "w"))), ""); !errors.Is(err, control.ErrConflict) {
		t.Errorf("Upload for a type that has an artifact = %v, want ErrConflict", err)
	}
}

func TestUploadRefuses(t *testing.T) {
	good := written(t, spec("r2", "x"))
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1500] ^= 1
	broken := errors.New("line broke")
	for _, tt := range []struct {
		name string
		r    io.Reader
		want error
	}{
		{"empty", bytes.NewReader(nil), control.ErrRefused},
		{"no artifact", bytes.NewReader(bytes.Repeat([]byte("x"), 5000)), control.ErrRefused},
		{"cut short", bytes.NewReader(good[:len(good)-2000]), control.ErrRefused},
		{"a flipped bit", bytes.NewReader(flipped), control.ErrRefused},
		{"too large", bytes.NewReader(append(bytes.Clone(good), make([]byte, 1<<20)...)), control.ErrRefused},
		{"the line broke", io.MultiReader(bytes.NewReader(good[:3000]), iotest.ErrReader(broken)), broken},
	} {
		f := newFixture(t, func(o *control.Options) { o.MaxArtifact = int64(len(good)) })
		_, err := f.Upload(ctx, tt.r, "")
		if !errors.Is(err, tt.want) || tt.want == broken && errors.Is(err, control.ErrRefused) {
			t.Errorf("%s: Upload = %v, want %v", tt.name, err, tt.want)
		}
		l, err := f.Releases(ctx, control.Page{})
		f.must(err)
		if len(l.Items) != 0 {
			t.Errorf("%s: Releases = %+v, want none", tt.name, l.Items)
		}
	}
}

type refuseAll struct{}

func (refuseAll) Verify([]byte, []byte) error { return artifact.ErrSignature }

func TestUploadWithKeysWantsASignature(t *testing.T) {
	f := newFixture(t, func(o *control.Options) { o.Keys = []artifact.Verifier{refuseAll{}} })
	_, err := f.Upload(ctx, bytes.NewReader(written(t, spec("r2", "x"))), "")
	if !errors.Is(err, control.ErrRefused) || !errors.Is(err, artifact.ErrUnsigned) {
		t.Errorf("Upload unsigned = %v, want ErrRefused for ErrUnsigned", err)
	}
}

func TestDeleteArtifact(t *testing.T) {
	f := newFixture(t)
	a := f.upload(spec("r2", "x"))
	f.accepted("1", "x", "r1")
	d := f.deploy("r2", all, 0)
	if err := f.DeleteArtifact(ctx, a.ID); !errors.Is(err, control.ErrInUse) {
		t.Errorf("DeleteArtifact in use = %v, want ErrInUse", err)
	}
	f.must(f.AbortDeployment(ctx, d))
	f.must(f.DeleteArtifact(ctx, a.ID))
	if _, _, err := f.OpenArtifact(ctx, a.ID); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("OpenArtifact after deleting = %v, want ErrNotFound", err)
	}
	if _, err := f.Release(ctx, "r2"); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("Release after its last artifact = %v, want ErrNotFound", err)
	}
	again := f.upload(spec("r2", "x"))
	r, _, err := f.OpenArtifact(ctx, again.ID)
	f.must(err)
	defer r.Close()
	if _, err := artifact.Verify(r, artifact.ReaderOptions{AllowUnsigned: true}); err != nil {
		t.Errorf("what was uploaded again does not verify: %v", err)
	}
}

func TestReleasesNewestFirst(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"r1", "r3", "r2"} {
		f.upload(spec(name, "x"))
	}
	var got []string
	p := control.Page{Limit: 2}
	for {
		l, err := f.Releases(ctx, p)
		f.must(err)
		for _, r := range l.Items {
			got = append(got, r.Name)
		}
		if p.Cursor = l.Next; p.Cursor == "" {
			break
		}
	}
	if len(got) != 3 || got[0] != "r2" || got[2] != "r1" {
		t.Errorf("Releases = %v, want r2 r3 r1", got)
	}
	f.accepted("1", "x", "r0")
	for _, name := range got {
		f.deploy(name, all, 0)
	}
	l, err := f.Deployments(ctx, control.DeploymentQuery{Status: deployment.Active, Page: control.Page{Limit: 2}})
	f.must(err)
	if len(l.Items) != 2 || l.Items[0].Release != "r1" || l.Next == "" {
		t.Errorf("Deployments = %+v, want the newest two and more", l)
	}
}
