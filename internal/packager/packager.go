// Package packager makes objects from artifacts, keeps them, and answers
// requests for their pieces.
//
// An object is two blobs and a note. One blob is the ciphertext, all chunks in
// a row; the other is the tree, all leaves in a row and then the page list.
// The note (see Shelf) has the object's sizes and its content key, sealed with
// the server key.
//
// Who holds what: content keys are in the memory of the server and, sealed, in
// the notes; the server key is in a file of its own. Blobs without notes, or
// notes without the server key, say nothing but sizes. Brokers, gateways and
// caches get pieces of the blobs only.
//
// A content key encrypts one run. It is drawn when packaging starts, and
// written down only after both blobs are durable, by the last step that
// counts; a run that ends before that leaves nothing from which its key comes
// back. Before the first blob is committed, an intent names both, so that the
// next start removes what an interrupted run left.
package packager

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/moult-ota/moult/internal/blob"
	"github.com/moult-ota/moult/internal/wire/object"
)

// ErrNotFound is returned for an object that is not kept here.
var ErrNotFound = errors.New("no such object")

// A Packager keeps the objects of one server. Its methods may be called from
// several goroutines; it makes one object at a time, on all cores.
type Packager struct {
	blobs blob.Store
	shelf Shelf
	key   ServerKey
	rand  io.Reader

	making sync.Mutex // held while blobs and notes change

	mu     sync.RWMutex
	kept   map[string]kept // by artifact
	byName map[object.OID]string
}

// An Object is what an assignment says about one; it holds the content key.
type Object struct {
	Artifact string // SHA-256 of the plaintext, hex
	Spec     object.Spec
	Key      object.Key
}

// Open returns the packager over blobs and a shelf that it has for itself, and
// removes what an interrupted run left. Chance must be as good as crypto/rand.
func Open(ctx context.Context, blobs blob.Store, shelf Shelf, key ServerKey, chance io.Reader) (*Packager, error) {
	p := &Packager{blobs: blobs, shelf: shelf, key: key, rand: chance, kept: map[string]kept{}, byName: map[object.OID]string{}}
	notes, err := shelf.All()
	if err != nil {
		return nil, fmt.Errorf("open objects: %w", err)
	}
	for name, note := range notes {
		if artifact, ok := isRecord(name); ok {
			k, err := p.key.open(artifact, note)
			if err != nil {
				return nil, fmt.Errorf("open objects: %w", err)
			}
			p.add(k)
		}
	}
	for name, note := range notes {
		if artifact, ok := isIntent(name); ok {
			if err := p.sweep(ctx, artifact, note); err != nil {
				return nil, fmt.Errorf("open objects: %w", err)
			}
		}
	}
	return p, nil
}

// Object returns what was made of an artifact.
func (p *Packager) Object(artifact string) (Object, error) {
	k, ok := p.find(artifact)
	if !ok {
		return Object{}, fmt.Errorf("artifact %.80q: %w", artifact, ErrNotFound)
	}
	return k.Object, nil
}

// Make returns the object of an artifact of size bytes, and makes it when there
// is none. The sum is taken on trust: it is the name under which r was found.
func (p *Packager) Make(ctx context.Context, artifact string, size int64, r io.Reader) (Object, error) {
	if raw, err := hex.DecodeString(artifact); err != nil || len(raw) != 32 || hex.EncodeToString(raw) != artifact {
		return Object{}, fmt.Errorf("make object of %.80q: not a SHA-256", artifact)
	}
	p.making.Lock()
	defer p.making.Unlock()
	if err := p.undo(ctx, artifact); err != nil { // of a run before
		return Object{}, fmt.Errorf("make object of %s: %w", artifact, err)
	}
	if k, ok := p.find(artifact); ok {
		if p.whole(ctx, k) {
			return k.Object, nil
		}
		if err := p.remove(ctx, k); err != nil {
			return Object{}, err
		}
	}
	k, err := p.make(ctx, artifact, size, r)
	if err != nil {
		return Object{}, fmt.Errorf("make object of %s: %w", artifact, errors.Join(err, p.undo(ctx, artifact)))
	}
	p.add(k)
	return k.Object, nil
}

// Remove forgets the object of an artifact; one that is not there is no error.
// Readers that are open may still read.
func (p *Packager) Remove(ctx context.Context, artifact string) error {
	p.making.Lock()
	defer p.making.Unlock()
	if err := p.undo(ctx, artifact); err != nil {
		return fmt.Errorf("remove object of %.80q: %w", artifact, err)
	}
	if k, ok := p.find(artifact); ok {
		return p.remove(ctx, k)
	}
	return nil
}

func (p *Packager) find(artifact string) (kept, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	k, ok := p.kept[artifact]
	return k, ok
}

func (p *Packager) named(oid object.OID) (kept, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	k, ok := p.kept[p.byName[oid]]
	return k, ok
}

func (p *Packager) add(k kept) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[k.Artifact] = k
	p.byName[k.Spec.OID()] = k.Artifact
}

func (p *Packager) forget(k kept) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.kept, k.Artifact)
	delete(p.byName, k.Spec.OID())
}

// whole reports whether both blobs are there.
func (p *Packager) whole(ctx context.Context, k kept) bool {
	r, err := p.reader(ctx, k)
	if err != nil {
		return false
	}
	r.Close()
	return true
}
