package packager

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// An intent names the blobs that a run is about to commit, or to delete: two
// lines, each a sum. It stands on the shelf as <artifact>.intent.

const intentSuffix = ".intent"

func intentName(artifact string) string { return artifact + intentSuffix }

func isIntent(name string) (artifact string, ok bool) { return strings.CutSuffix(name, intentSuffix) }

func intentNote(k kept) []byte { return []byte(k.sealed + "\n" + k.tree + "\n") }

// sweep ends what an intent began: blobs that no record names are deleted.
func (p *Packager) sweep(ctx context.Context, artifact string, note []byte) error {
	k, _ := p.find(artifact)
	for sum := range strings.Lines(string(note)) {
		sum = strings.TrimSuffix(sum, "\n")
		if sum == k.sealed || sum == k.tree {
			continue
		}
		if err := p.blobs.Delete(ctx, sum); err != nil {
			return fmt.Errorf("sweep object of %s: %w", artifact, err)
		}
	}
	return p.shelf.Remove(intentName(artifact))
}

// undo cleans up after a run that failed while the server lives on, so that no
// intent is overwritten before it is done with. What it cannot remove, the
// next Make or start does.
func (p *Packager) undo(ctx context.Context, artifact string) error {
	ctx = context.WithoutCancel(ctx)
	notes, err := p.shelf.All()
	if err != nil {
		return err
	}
	if note, ok := notes[recordName(artifact)]; ok { // it failed after the step that counts
		k, err := p.key.open(artifact, note)
		if err != nil {
			return err
		}
		p.add(k)
	}
	if note, ok := notes[intentName(artifact)]; ok {
		return p.sweep(ctx, artifact, note)
	}
	return nil
}

// remove deletes an object: intent, record, blobs, intent. While the record
// stands the object is whole.
func (p *Packager) remove(ctx context.Context, k kept) error {
	err := p.shelf.Put(intentName(k.Artifact), intentNote(k))
	if err == nil {
		err = p.shelf.Remove(recordName(k.Artifact))
	}
	if err != nil {
		return fmt.Errorf("remove object of %s: %w", k.Artifact, err)
	}
	p.forget(k)
	err = errors.Join(p.blobs.Delete(ctx, k.sealed), p.blobs.Delete(ctx, k.tree))
	if err == nil {
		err = p.shelf.Remove(intentName(k.Artifact))
	}
	if err != nil {
		return fmt.Errorf("remove object of %s: %w", k.Artifact, err)
	}
	return nil
}
