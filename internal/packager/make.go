package packager

import (
	"context"
	"fmt"
	"io"

	"github.com/moult-ota/moult/internal/blob"
	"github.com/moult-ota/moult/internal/wire/object"
)

// make draws a key and runs once. Its steps, in an order that matters:
//
//  1. the ciphertext and the tree are written, under no name
//  2. the intent names both
//  3. both are committed
//  4. the record, with the sealed key: from here on there is an object
//  5. the intent goes
func (p *Packager) make(ctx context.Context, artifact string, size int64, r io.Reader) (k kept, err error) {
	if k, err = p.draw(artifact, size); err != nil {
		return k, err
	}
	sealed, err := p.blobs.Create(ctx)
	if err != nil {
		return k, err
	}
	defer sealed.Close()
	leaves, err := sealStream(ctx, k.Object, r, sealed)
	if err != nil {
		return k, err
	}
	list := object.ListPages(k.Spec.Nonce0, leaves)
	k.Spec.Root = object.Root(k.Spec, list)
	tree, err := p.blobs.Create(ctx)
	if err != nil {
		return k, err
	}
	defer tree.Close()
	if _, err := tree.Write(append(leaves, list...)); err != nil {
		return k, err
	}
	k.sealed, k.tree = sealed.Sum(), tree.Sum()
	return k, p.commit(k, sealed, tree)
}

func (p *Packager) commit(k kept, sealed, tree blob.Writer) error {
	note, err := p.key.seal(k, p.rand)
	if err != nil {
		return err
	}
	if err := p.shelf.Put(intentName(k.Artifact), intentNote(k)); err != nil {
		return err
	}
	if _, _, err := sealed.Commit(); err != nil {
		return err
	}
	if _, _, err := tree.Commit(); err != nil {
		return err
	}
	if err := p.shelf.Put(recordName(k.Artifact), note); err != nil {
		return err
	}
	return p.shelf.Remove(intentName(k.Artifact))
}

// draw starts an object: a key and a nonce0 that no other run has.
func (p *Packager) draw(artifact string, size int64) (k kept, err error) {
	k.Artifact, k.Spec.Size = artifact, size
	if k.Spec.Chunk, err = object.ChunkFor(size); err != nil {
		return k, err
	}
	for _, secret := range [][]byte{k.Key[:], k.Spec.Nonce0[:]} {
		if _, err := io.ReadFull(p.rand, secret); err != nil {
			return k, fmt.Errorf("draw content key: %w", err)
		}
	}
	k.Spec.Check = k.Key.Check(k.Spec.Nonce0)
	return k, nil
}
