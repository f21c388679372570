package store

import (
	"encoding/json"
	"fmt"
	"time"
)

// An Artifact is one uploaded update file.
type Artifact struct {
	ID      string
	Release string // artifact name, shared by all artifacts of the release
	SHA256  string // hex, of the whole file
	Size    int64  // bytes
	About
	Note      string
	CreatedAt time.Time
}

// About is what an artifact needs and brings, as its header says.
type About struct {
	DeviceTypes []string
	Depends     map[string][]string // what must be installed, device_type included
	Provides    map[string]string   // what is installed afterwards
	Clears      []string            // patterns of provides to forget
	ClearsSet   bool                // false: the artifact forgets all provides
	PayloadType string              // empty for a bootstrap artifact
	Signed      bool
	// SecurityVersion is the rollback floor that the artifact claims; nil for none.
	SecurityVersion *uint64
}

// A Release is the name that artifacts share.
type Release struct {
	Name      string
	Seq       int64 // counter when its first artifact came
	CreatedAt time.Time
}

const artifactColumns = `SELECT a.id, a.release, a.sha256, a.size, a.about, a.note, a.created_at FROM artifact a `

func scanArtifact(s scanner) (a Artifact, err error) {
	var about string
	var at int64
	if err := s.Scan(&a.ID, &a.Release, &a.SHA256, &a.Size, &about, &a.Note, &at); err != nil {
		return a, err
	}
	a.CreatedAt = fromMicros(at)
	if err := json.Unmarshal([]byte(about), &a.About); err != nil {
		return a, fmt.Errorf("read artifact %s: %w", a.ID, err)
	}
	return a, nil
}

// Artifact returns the artifact id.
func (r Reader) Artifact(id string) (Artifact, error) {
	return one(collect(r, scanArtifact, artifactColumns+`WHERE a.id = $1`, id))
}

// ArtifactBySum returns the artifact with these bytes.
func (r Reader) ArtifactBySum(sha256 string) (Artifact, error) {
	return one(collect(r, scanArtifact, artifactColumns+`WHERE a.sha256 = $1`, sha256))
}

// MaxArtifacts bounds the artifacts of one release.
const MaxArtifacts = 1000

// Artifacts returns the artifacts of a release, oldest first.
func (r Reader) Artifacts(release string) ([]Artifact, error) {
	return collect(r, scanArtifact, artifactColumns+`WHERE a.release = $1 ORDER BY a.seq LIMIT $2`, release, MaxArtifacts)
}

func scanRelease(s scanner) (r Release, err error) {
	var at int64
	err = s.Scan(&r.Name, &r.Seq, &at)
	r.CreatedAt = fromMicros(at)
	return r, err
}

// Release returns the release name.
func (r Reader) Release(name string) (Release, error) {
	return one(collect(r, scanRelease, `SELECT name, seq, created_at FROM release WHERE name = $1`, name))
}

// Releases returns releases older than the counter before, newest first.
func (r Reader) Releases(before int64, limit int) ([]Release, error) {
	return collect(r, scanRelease, `SELECT name, seq, created_at FROM release WHERE seq < $1 ORDER BY seq DESC LIMIT $2`,
		before, limit)
}

// InsertArtifact stores a new artifact, and its release if it is the first.
func (t *Tx) InsertArtifact(a Artifact) error {
	about, err := json.Marshal(a.About)
	if err != nil {
		return err
	}
	seq, at := t.Next(), micros(a.CreatedAt)
	if err := t.exec("store release", `INSERT INTO release (name, seq, created_at) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO NOTHING`, a.Release, seq, at); err != nil {
		return err
	}
	return t.exec("store artifact", `INSERT INTO artifact (id, seq, release, sha256, size, about, note, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, a.ID, seq, a.Release, a.SHA256, a.Size, string(about), a.Note, at)
}

// DeleteArtifact deletes an artifact, and its release with the last one.
func (t *Tx) DeleteArtifact(a Artifact) error {
	if err := t.exec("delete artifact", `DELETE FROM artifact WHERE id = $1`, a.ID); err != nil {
		return err
	}
	return t.exec("delete release", `DELETE FROM release WHERE name = $1
		AND NOT EXISTS (SELECT 1 FROM artifact WHERE release = $1)`, a.Release)
}
