package artifactcmd

import (
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// longWork is how many bytes are worth a progress bar.
const longWork = 16 << 20

// A progress shows a bar on a terminal, and nothing elsewhere.
type progress struct {
	all *mpb.Progress
	bar *mpb.Bar // nil for none
}

func newProgress(w io.Writer, verb string, total int64, off bool) *progress {
	f, ok := w.(*os.File)
	if off || !ok || total < longWork || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	p := &progress{all: mpb.New(mpb.WithOutput(f), mpb.WithWidth(64))}
	p.bar = p.all.AddBar(total,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(verb+" "), decor.CountersKibiByte("% .1f / % .1f")),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f"), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO)))
	return p
}

// newSpinner shows how much came of something whose length nobody knows.
func newSpinner(w io.Writer, verb string, off bool) *progress {
	f, ok := w.(*os.File)
	if off || !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	p := &progress{all: mpb.New(mpb.WithOutput(f), mpb.WithWidth(64))}
	p.bar = p.all.AddSpinner(0, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(verb+" "), decor.CurrentKibiByte("% .1f")),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f"), decor.Name(" "), decor.Elapsed(decor.ET_STYLE_GO)))
	return p
}

// add counts n more bytes.
func (p *progress) add(n int) {
	if p.bar != nil {
		p.bar.IncrBy(n)
	}
}

// reader counts what is read from r.
func (p *progress) reader(r io.ReadCloser) io.ReadCloser {
	if p.bar == nil {
		return r
	}
	return p.bar.ProxyReader(r)
}

// stop takes the bar away. It may be called twice.
func (p *progress) stop() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.all.Wait()
		p.bar = nil
	}
}
