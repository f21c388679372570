package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/store"
)

// An Artifact is one uploaded update file.
type Artifact = store.Artifact

// A Release is all artifacts that share one name.
type Release struct {
	Name      string
	Artifacts []Artifact // oldest first
	CreatedAt time.Time
}

// Limits of an upload, beside Options.MaxArtifact.
const (
	maxNote    = 4096 // bytes
	maxRelease = 256  // bytes of a release's name
	maxAbout   = 64   // device types; and dependencies, and provides, four times that
)

// Upload reads an artifact to its end, checks it on the way, and keeps it.
// The same bytes again are the same artifact and no error. Errors wrap
// ErrRefused with the rule that the file broke, or ErrConflict when another
// artifact of the release is meant for the same devices.
func (c *Control) Upload(ctx context.Context, r io.Reader, note string) (Artifact, error) {
	if len(note) > maxNote {
		return Artifact{}, fmt.Errorf("%w note: %d bytes, at most %d", ErrInvalid, len(note), maxNote)
	}
	w, err := c.Blobs.Create(ctx)
	if err != nil {
		return Artifact{}, wrap("upload artifact", err)
	}
	defer w.Close() // forgets what was not committed
	about, release, err := c.receive(ctx, w, r)
	if err != nil {
		return Artifact{}, fmt.Errorf("upload artifact: %w", err)
	}
	sum, size, err := w.Commit()
	if err != nil {
		return Artifact{}, wrap("upload artifact", err)
	}
	return c.keep(ctx, Artifact{Release: release, SHA256: sum, Size: size, About: about, Note: cut(note, maxNote)})
}

// receive copies r into w while a reader checks it.
func (c *Control) receive(ctx context.Context, w io.Writer, r io.Reader) (about store.About, release string, err error) {
	limited := &limitReader{r: r, n: c.MaxArtifact, limit: c.MaxArtifact, ctx: ctx}
	tee := &teeReader{r: limited, w: w}
	h, err := c.verify(tee)
	switch {
	case limited.err != nil: // the stream ended, not the artifact
		return about, "", limited.err
	case tee.err != nil:
		return about, "", tee.err
	case err != nil:
		return about, "", refused(err)
	}
	if about, err = aboutOf(h); err != nil {
		return about, "", refused(err)
	}
	_, err = io.Copy(io.Discard, tee) // nothing, unless the reader stopped early
	return about, h.Name, errors.Join(err, tee.err)
}

func refused(err error) error { return fmt.Errorf("%w: %w", ErrRefused, err) }

func aboutOf(h *artifact.Header) (store.About, error) {
	if len(h.Name) > maxRelease || len(h.DeviceTypes) > maxAbout || len(h.Depends) > 4*maxAbout || len(h.Provides) > 4*maxAbout {
		return store.About{}, fmt.Errorf("header says too much: %d device types, at most %d; %d depends and %d provides, at most %d; name of %d bytes, at most %d",
			len(h.DeviceTypes), maxAbout, len(h.Depends), len(h.Provides), 4*maxAbout, len(h.Name), maxRelease)
	}
	a := store.About{DeviceTypes: h.DeviceTypes, Depends: h.Depends, Provides: h.Provides, Clears: h.Clears,
		ClearsSet: h.ClearsSet, PayloadType: h.PayloadType, Signed: h.Signed}
	_, v, ok, err := h.SecurityVersion()
	if ok {
		a.SecurityVersion = &v
	}
	return a, err
}

// keep stores the row of an artifact whose bytes are kept already.
func (c *Control) keep(ctx context.Context, a Artifact) (Artifact, error) {
	err := c.update(ctx, func(ch *change) error {
		same, err := ch.ArtifactBySum(a.SHA256)
		if err == nil {
			a = same
			return nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := c.room(ctx, ch, a); err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		a.ID, a.CreatedAt = id.String(), ch.at
		ch.deployments = true // an active one may be of this release
		return errors.Join(ch.InsertArtifact(a), ch.AddEvent(fleet.Event{At: ch.at, Kind: fleet.KindRelease, Detail: a.ID}))
	})
	if err != nil {
		return Artifact{}, wrap("upload artifact", err)
	}
	return a, nil
}

// room refuses an artifact that would stand in another one's place. It also
// looks that the bytes were not deleted since they were committed.
func (c *Control) room(ctx context.Context, ch *change, a Artifact) error {
	others, err := ch.Artifacts(a.Release)
	if err != nil {
		return err
	}
	if len(others) >= store.MaxArtifacts {
		return fmt.Errorf("%w: release %s has %d artifacts already", ErrConflict, a.Release, len(others))
	}
	for _, o := range others {
		if typ, ok := overlap(a, o); ok {
			return fmt.Errorf("%w: artifact %s of release %s is for device type %s with the same depends; give the new one another name",
				ErrConflict, o.ID, a.Release, typ)
		}
	}
	r, _, err := c.Blobs.Open(ctx, a.SHA256)
	if err != nil {
		return fmt.Errorf("%w: its bytes were deleted meanwhile, upload it again", ErrConflict)
	}
	return r.Close()
}

func overlap(a, b Artifact) (deviceType string, ok bool) {
	if !maps.EqualFunc(withoutType(a.Depends), withoutType(b.Depends), equalSets) {
		return "", false
	}
	for _, t := range a.DeviceTypes {
		if slices.Contains(b.DeviceTypes, t) {
			return t, true
		}
	}
	return "", false
}

func withoutType(depends map[string][]string) map[string][]string {
	d := maps.Clone(depends)
	delete(d, "device_type")
	return d
}

func equalSets(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// Releases lists releases, newest first.
func (c *Control) Releases(ctx context.Context, p Page) (l List[Release], err error) {
	limit, err := p.limit()
	if err != nil {
		return l, err
	}
	before, err := p.number('r')
	if err != nil {
		return l, err
	}
	err = c.DB.View(ctx, func(r store.Reader) error {
		rows, err := r.Releases(or(before, newest), limit+1)
		if err != nil {
			return err
		}
		part := page(rows, limit, 'r', func(r store.Release) string { return strconv.FormatInt(r.Seq, 10) })
		l.Next = part.Next
		for _, row := range part.Items {
			artifacts, err := r.Artifacts(row.Name)
			if err != nil {
				return err
			}
			l.Items = append(l.Items, Release{Name: row.Name, Artifacts: artifacts, CreatedAt: row.CreatedAt})
		}
		return nil
	})
	return l, wrap("list releases", err)
}

// newest is greater than every counter.
const newest = 1<<63 - 1

// Release returns the release name.
func (c *Control) Release(ctx context.Context, name string) (Release, error) {
	r := c.DB.Read(ctx)
	row, err := r.Release(name)
	if err != nil {
		return Release{}, found("release "+name, err)
	}
	artifacts, err := r.Artifacts(name)
	return Release{Name: name, Artifacts: artifacts, CreatedAt: row.CreatedAt}, wrap("read release", err)
}

// DeleteArtifact deletes an artifact that no active deployment uses.
func (c *Control) DeleteArtifact(ctx context.Context, id string) error {
	var a Artifact
	err := c.update(ctx, func(ch *change) (err error) {
		if a, err = ch.Artifact(id); err != nil {
			return found("artifact "+id, err)
		}
		n, err := ch.CountActive(a.Release)
		if err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%w: %d active deployments send release %s; abort them first", ErrInUse, n, a.Release)
		}
		return errors.Join(ch.Tx.DeleteArtifact(a), ch.AddEvent(fleet.Event{At: ch.at, Kind: fleet.KindRelease, Detail: id}))
	})
	if err != nil {
		return err
	}
	// Only after the row is gone for sure, and unless the bytes came again.
	return c.DB.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.ArtifactBySum(a.SHA256); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return c.Blobs.Delete(ctx, a.SHA256)
	})
}

// OpenArtifact opens an artifact's bytes for an operator.
func (c *Control) OpenArtifact(ctx context.Context, id string) (io.ReadSeekCloser, Artifact, error) {
	a, err := c.DB.Read(ctx).Artifact(id)
	if err != nil {
		return nil, a, found("artifact "+id, err)
	}
	r, _, err := c.Blobs.Open(ctx, a.SHA256)
	return r, a, wrap("open artifact "+id, err)
}

// artifactsOf returns the artifacts of the release that a deployment names.
func artifactsOf(r store.Reader, d deployment.Deployment) ([]store.Artifact, error) {
	all, err := r.Artifacts(d.Release)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("release %s: %w", d.Release, ErrNotFound)
	}
	return all, err
}
