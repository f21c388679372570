package artifact

import (
	"archive/tar"
	"io"
	"strings"
)

const (
	tarBlock   = 512
	tarTrailer = 2 * tarBlock // zero blocks that end a tar
)

// entries are the files of one tar, in order. It refuses what a plain tar of
// files has not: links, folders, sparse files, an end without its trailer,
// anything but a little zero padding after it.
type entries struct {
	src   *source
	in    *meter
	tar   *tar.Reader
	where string // path of the tar inside the artifact, "" for the artifact itself
	end   int64  // of the current entry with its padding, in bytes of in
	seen  map[string]bool
}

func newEntries(src *source, r io.Reader, limit int64, where string) *entries {
	in := &meter{r: r, max: limit, where: orArtifact(where)}
	return &entries{src: src, in: in, tar: tar.NewReader(in), where: where, seen: map[string]bool{}}
}

// next returns the next entry, or io.EOF after the whole tar was read.
func (e *entries) next() (*tar.Header, error) {
	h, err := e.tar.Next()
	if err == io.EOF {
		return nil, e.finish()
	}
	if err != nil {
		return nil, e.explain(err, "")
	}
	e.end = e.in.n + padded(h.Size)
	return h, e.check(h)
}

func (e *entries) check(h *tar.Header) error {
	where := e.path(h.Name)
	if h.Typeflag != tar.TypeReg {
		return broken(RuleTar, where, "entry of type %q, want a plain file", h.Typeflag)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") {
			return broken(RuleTar, where, "sparse file")
		}
	}
	if e.seen[h.Name] {
		return broken(RuleDuplicate, where, "there twice")
	}
	e.seen[h.Name] = true
	return nil
}

// finish checks the end of the tar and returns io.EOF.
func (e *entries) finish() error {
	if e.in.n-e.end < tarTrailer {
		return e.explain(io.ErrUnexpectedEOF, "")
	}
	padding := make([]byte, 4<<10)
	for seen := 0; ; {
		n, err := e.in.Read(padding)
		for _, b := range padding[:n] {
			if b != 0 {
				return broken(RuleTrailing, orArtifact(e.where), "data after the end of the tar")
			}
		}
		if seen += n; seen > maxPadding {
			return broken(RuleTrailing, orArtifact(e.where), "more than %d zero bytes after the end of the tar", maxPadding)
		}
		if err == io.EOF {
			return io.EOF
		}
		if err != nil {
			return e.explain(err, "")
		}
	}
}

// read returns the content of the current entry, at most limit bytes.
func (e *entries) read(h *tar.Header, limit int64) ([]byte, error) {
	b, err := readSmall(e.tar, h.Size, limit, e.path(h.Name))
	if err != nil {
		return nil, e.explain(err, h.Name)
	}
	return b, nil
}

func (e *entries) explain(err error, name string) error {
	return e.src.explain(err, RuleTar, e.path(name))
}

func (e *entries) path(name string) string {
	switch {
	case e.where == "":
		return orArtifact(name)
	case name == "":
		return e.where
	default:
		return e.where + "/" + name
	}
}

func orArtifact(where string) string {
	if where == "" {
		return "artifact"
	}
	return where
}

func padded(size int64) int64 { return (size + tarBlock - 1) / tarBlock * tarBlock }
