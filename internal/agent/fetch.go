package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/httplink"
	"github.com/moult-ota/moult/internal/update"
)

// limits are tighter than the format's: they bound the agent's memory.
var limits = artifact.Limits{
	Manifest: 256 << 10, Header: 1 << 20, HeaderUnpacked: 4 << 20, Window: 8 << 20,
}

// outage is how many connections in a row may fail before the server is asked
// anew, and the download begins again: about half an hour by default.
const outage = 30

// errRefused marks what must not be installed here.
var errRefused = errors.New("refused")

// fetch streams the artifact from its server or file into its installer.
func (a *Agent) fetch(ctx context.Context) update.Event {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	src, err := a.source(ctx)
	if err != nil {
		return a.broke(update.Fetch, err)
	}
	defer src.Close()
	began := a.o.Now()
	in := &metered{src: src, agent: a, ctx: ctx, cancel: cancel, last: began}
	done, err := a.install(ctx, in, func() { cancel(nil) })
	if err != nil {
		return a.unfetched(ctx, src, err)
	}
	a.log.Info("fetched", "artifact", done.Artifact, "bytes", in.n, "took", a.o.Now().Sub(began).Round(time.Millisecond))
	return done
}

// source opens a file of this device, or the server.
func (a *Agent) source(ctx context.Context) (source, error) {
	uri := a.record.URI
	if a.record.Standalone && !strings.Contains(uri, "://") {
		f, err := os.Open(uri)
		if err != nil {
			return nil, fmt.Errorf("open artifact: %w", err)
		}
		return file{f}, nil
	}
	return link.NewDownload(ctx, a.opener(), uri, 0, link.Patience{
		Tries: outage, Retry: a.o.Retry / 10, RetryMax: a.o.RetryMax / 10, Sleep: a.o.Sleep, Rand: a.o.Rand,
		Note: func(err error, offset int64, wait time.Duration) {
			a.log.Warn("download interrupted", "at", offset, "wait", wait, "error", err)
		},
	}), nil
}

// opener is the server, or the web at large for what an operator installs.
func (a *Agent) opener() link.Opener {
	if a.link != nil {
		return a.link
	}
	return httplink.NewOpener(a.o.Transport, a.o.Now)
}

// install verifies before anything is acted on: the signature in NewReader,
// then all that Admit asks, and only then a byte is written.
func (a *Agent) install(ctx context.Context, in io.Reader, stop func()) (update.Fetched, error) {
	r, err := artifact.NewReader(in, artifact.ReaderOptions{Keys: a.o.Verifiers, Limits: limits})
	if err != nil {
		return update.Fetched{}, fmt.Errorf("read artifact: %w", err)
	}
	defer r.Close()
	h := r.Header()
	installer, err := a.installer(h.PayloadType)
	if err != nil {
		return update.Fetched{}, fmt.Errorf("%w: %w", errRefused, err)
	}
	security, err := a.admit(h)
	if err != nil {
		return update.Fetched{}, err
	}
	w, err := installer.Write(ctx, install.Payload{Header: h, Security: security.Floor, Signed: r.Signed(), Next: r.Next, Stop: stop})
	if err != nil {
		a.clean(context.WithoutCancel(ctx), installer)
		return update.Fetched{}, err
	}
	return update.Fetched{
		Artifact: h.Name, Kind: h.PayloadType, Target: w.Target, Image: w.Image, Child: w.Child,
		FloorKey: security.Key, Floor: security.Floor,
		Pending: artifact.Merge(a.record.Provides(), h.Provides, h.Clears, h.ClearsSet),
	}, nil
}

func (a *Agent) admit(h *artifact.Header) (update.Security, error) {
	v, err := a.vars()
	if err != nil {
		return update.Security{}, err
	}
	gate := update.Gate{
		Artifact: a.record.Artifact, DeviceType: a.o.DeviceType,
		Installed: a.record.Provides(), Floor: v.Floor, Floors: a.record.Floors,
	}
	s, err := gate.Admit(h, h.PayloadType == payloadType)
	if err != nil {
		return s, fmt.Errorf("%w: %w", errRefused, err)
	}
	return s, nil
}

// unfetched tells the line's faults from the artifact's and the device's.
func (a *Agent) unfetched(ctx context.Context, src source, err error) update.Event {
	a.log.Error("fetch", "error", err)
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, link.ErrCanceled), errors.Is(cause, link.ErrNotFound):
		return update.Canceled{}
	case errors.Is(err, errRefused), errors.Is(err, install.ErrRefused):
		return update.Refused{Detail: err.Error()}
	}
	switch broken := src.Broken(); {
	case errors.Is(broken, link.ErrExpired):
		return update.Expired{}
	case broken != nil:
		return update.Down{Detail: broken.Error()}
	}
	if rule := new(artifact.RuleError); errors.As(err, &rule) { // not what somebody we trust has signed
		return update.Refused{Detail: err.Error()}
	}
	return update.Broke{Detail: err.Error()}
}

// A source is where an artifact comes from. Broken is the error that ended
// it, when the source itself is to blame.
type source interface {
	io.ReadCloser
	Broken() error
	Total() int64
}

type file struct{ *os.File }

func (file) Broken() error { return nil }

func (f file) Total() int64 {
	fi, err := f.Stat()
	if err != nil {
		return -1
	}
	return fi.Size()
}

// metered counts bytes, and reports them now and then. The server's answer to
// such a report may be that the update is canceled.
type metered struct {
	src    source
	agent  *Agent
	ctx    context.Context
	cancel context.CancelCauseFunc
	n      int64
	last   time.Time
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.src.Read(p)
	m.n += int64(n)
	m.agent.o.Watch(Sight{State: deployment.Downloading, Bytes: m.n, Total: m.src.Total()})
	if now := m.agent.o.Now(); !m.agent.record.Standalone && now.Sub(m.last) >= m.agent.o.Report {
		m.last = now
		m.tell()
	}
	return n, err
}

// tell reports progress. It need not arrive.
func (m *metered) tell() {
	err := m.agent.needLink().Progress(m.ctx, fleet.Progress{
		Deployment: m.agent.record.Deployment, State: deployment.Downloading, Bytes: m.n,
	})
	if errors.Is(err, link.ErrCanceled) || errors.Is(err, link.ErrNotFound) {
		m.cancel(err)
	}
}
