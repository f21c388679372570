package packager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/moult-ota/moult/internal/wire/object"
)

// batchSize is how much plaintext a core works on at a time. Each core has
// two batches, each with its ciphertext.
const batchSize = 512 << 10

// A batch is chunks in a row.
type batch struct {
	first         int // chunk
	plain, sealed []byte
	leaves        []byte
	done          chan struct{} // has one when sealed is ready
}

// sealStream writes the ciphertext of all chunks to w, in order, and returns
// the leaves. It reads exactly the object's size, and refuses more or less.
// Its goroutines end before it returns.
func sealStream(ctx context.Context, o Object, r io.Reader, w io.Writer) ([]byte, error) {
	c, err := object.NewCipher(o.Key, o.Spec)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	cores := runtime.GOMAXPROCS(0)
	s := &sealer{cipher: c, spec: o.Spec, free: make(chan *batch, 2*cores), work: make(chan *batch, 2*cores), ordered: make(chan *batch, 2*cores)}
	for range cap(s.free) {
		s.free <- &batch{done: make(chan struct{}, 1)}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(context.Canceled)
	wg.Go(func() {
		if err := s.read(ctx, r); err != nil {
			cancel(err)
		}
	})
	for range cores {
		wg.Go(s.seal)
	}
	return s.write(ctx, w)
}

type sealer struct {
	cipher  *object.Cipher
	spec    object.Spec
	free    chan *batch
	work    chan *batch // closed after the last batch
	ordered chan *batch // the same batches, for who writes
}

// read cuts the stream into batches. The channels have room for all of them.
func (s *sealer) read(ctx context.Context, r io.Reader) error {
	defer close(s.ordered)
	defer close(s.work)
	chunks := batchSize >> s.spec.Chunk
	for i := 0; i < s.spec.Chunks(); i += chunks {
		var b *batch
		select {
		case b = <-s.free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		size := min(batchSize, s.spec.Size-s.spec.Offset(i))
		if b.plain == nil {
			b.plain = make([]byte, size)
			b.sealed = make([]byte, 0, size+int64(chunks)*object.Overhead)
			b.leaves = make([]byte, 0, chunks*len(object.Hash{}))
		}
		b.first, b.plain = i, b.plain[:size]
		if n, err := io.ReadFull(r, b.plain); err != nil {
			return fmt.Errorf("read artifact at %d of %d bytes: %w", s.spec.Offset(i)+int64(n), s.spec.Size, noEOF(err))
		}
		s.work <- b
		s.ordered <- b
	}
	var more [1]byte
	switch _, err := io.ReadFull(r, more[:]); err {
	case io.EOF:
		return nil
	case nil:
		return fmt.Errorf("read artifact: more than %d bytes", s.spec.Size)
	default:
		return fmt.Errorf("read artifact: %w", err)
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// seal works until there is no more.
func (s *sealer) seal() {
	for b := range s.work {
		b.sealed, b.leaves = b.sealed[:0], b.leaves[:0]
		for i, rest := b.first, b.plain; len(rest) > 0; i++ {
			size, at := s.spec.ChunkSize(i), len(b.sealed)
			b.sealed = s.cipher.Seal(b.sealed, i, rest[:size])
			leaf := object.Leaf(s.spec.Nonce0, i, b.sealed[at:])
			b.leaves = append(b.leaves, leaf[:]...)
			rest = rest[size:]
		}
		b.done <- struct{}{}
	}
}

func (s *sealer) write(ctx context.Context, w io.Writer) ([]byte, error) {
	leaves := make([]byte, 0, s.spec.Chunks()*len(object.Hash{}))
	for b := range s.ordered {
		<-b.done
		if _, err := w.Write(b.sealed); err != nil {
			return nil, err
		}
		leaves = append(leaves, b.leaves...)
		s.free <- b
	}
	if len(leaves) != cap(leaves) || ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return leaves, nil
}
