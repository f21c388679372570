package packager

import (
	"context"
	"errors"
	"fmt"

	"github.com/moult-ota/moult/internal/blob"
	"github.com/moult-ota/moult/internal/wire/object"
)

// A Reader answers requests for the pieces of one object, from any goroutine.
// It reads what is asked for and keeps none of it.
type Reader struct {
	Spec         object.Spec
	sealed, tree blob.Reader
}

// Open opens an object by its name, or returns ErrNotFound. It checks the page
// list; chunks are checked by who takes them.
func (p *Packager) Open(ctx context.Context, oid object.OID) (*Reader, error) {
	k, ok := p.named(oid)
	if !ok {
		return nil, fmt.Errorf("object %s: %w", oid, ErrNotFound)
	}
	return p.reader(ctx, k)
}

func (p *Packager) reader(ctx context.Context, k kept) (*Reader, error) {
	sealed, n, err := p.blobs.Open(ctx, k.sealed)
	if err != nil {
		return nil, fmt.Errorf("open object %s: %w", k.Spec.OID(), err)
	}
	tree, m, err := p.blobs.Open(ctx, k.tree)
	if err != nil {
		sealed.Close()
		return nil, fmt.Errorf("open object %s: %w", k.Spec.OID(), err)
	}
	r := &Reader{k.Spec, sealed, tree}
	if n != k.Spec.Size+int64(k.Spec.Chunks())*object.Overhead || m != r.treeSize() {
		r.Close()
		return nil, fmt.Errorf("open object %s: blobs of %d and %d bytes are not its", k.Spec.OID(), n, m)
	}
	list := make([]byte, k.Spec.Length(object.PageList, 0))
	if err = r.readAt(list, object.PageList, 0); err == nil {
		err = k.Spec.CheckPageList(list)
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("open object %s: %w", k.Spec.OID(), err)
	}
	return r, nil
}

// Close closes the object.
func (r *Reader) Close() error { return errors.Join(r.sealed.Close(), r.tree.Close()) }

// Answer calls send with one message for each piece that q asks for, in order,
// until send returns an error. A message is send's until it returns. Nothing
// is sent for a request that Spec.Allows refuses.
func (r *Reader) Answer(q object.Request, send func(msg []byte) error) error {
	if err := r.Spec.Allows(q); err != nil {
		return fmt.Errorf("answer request for object %s: %w", r.Spec.OID(), err)
	}
	var piece, msg []byte
	for _, i := range q.Indices() {
		n := r.Spec.Length(q.Kind, i)
		if cap(piece) < n {
			piece, msg = make([]byte, n), make([]byte, 0, object.AnswerHeader+n)
		}
		piece = piece[:n]
		if err := r.readAt(piece, q.Kind, i); err != nil {
			return fmt.Errorf("answer request for object %s: read %s %d: %w", r.Spec.OID(), q.Kind, i, err)
		}
		var err error
		msg, err = object.AppendAnswer(msg[:0], object.Answer{Kind: q.Kind, Short: r.Spec.OID().Short(), Index: uint32(i), Bytes: piece})
		if err == nil {
			err = send(msg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readAt fills b, which is as long as the piece.
func (r *Reader) readAt(b []byte, k object.Kind, i int) (err error) {
	const leaf = int64(len(object.Hash{}))
	var n int
	switch k {
	case object.Data:
		n, err = r.sealed.ReadAt(b, r.Spec.SealedOffset(i))
	case object.LeafPage:
		n, err = r.tree.ReadAt(b, int64(i)*object.PageLeaves*leaf)
	case object.PageList:
		n, err = r.tree.ReadAt(b, int64(r.Spec.Chunks())*leaf)
	}
	if n == len(b) { // a ReaderAt may say EOF beside the last bytes
		return nil
	}
	return err
}

func (r *Reader) treeSize() int64 {
	return int64(r.Spec.Chunks()+r.Spec.Pages()) * int64(len(object.Hash{}))
}
