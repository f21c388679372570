package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// A report is a device's, on its way up. It carries no token: that may have
// been renewed when the uplink is back.
type report struct {
	Device string // key
	At     time.Time
	Method string
	Path   string
	Type   string
	Body   []byte

	name string // of its file
}

// Limits of a report that waits.
const (
	maxReport = 2 * menderapi.MaxLogBody // bytes of a file; JSON makes a body larger
	maxWait   = 30 * 24 * time.Hour      // before the oldest makes room: its device may be gone for good
)

// reports wait on the disk, each in a file, in the order in which they came.
type reports struct {
	folder string
	most   int
	wake   chan struct{}

	handing sync.Mutex // held by who hands them over
	mu      sync.Mutex
	waiting []report // bodies stay on the disk
	next    uint64
}

func openReports(folder string, most int) (*reports, error) {
	q := &reports{folder: folder, most: most, wake: make(chan struct{}, 1)}
	names, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, path := range names {
		r, err := q.load(filepath.Base(path))
		if err != nil {
			os.Remove(path)
			continue
		}
		r.Body = nil
		q.waiting = append(q.waiting, r)
		fmt.Sscanf(r.name, "%016x", &q.next)
	}
	q.next++
	return q, nil
}

func (q *reports) load(name string) (r report, err error) {
	text, err := atomicfile.Read(filepath.Join(q.folder, name), maxReport)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	r.name = name
	return r, err
}

// errFull: the device keeps what it has to say.
var errFull = errors.New("too many reports wait for the uplink")

// add keeps a report; when it returned nil, that survives a power cut.
func (q *reports) add(r report) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= q.most {
		if r.At.Sub(q.waiting[0].At) < maxWait {
			return errFull
		}
		q.remove(q.waiting[0])
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	r.name, r.Body = fmt.Sprintf("%016x.json", q.next), nil
	if err := atomicfile.Write(filepath.Join(q.folder, r.name), text, 0o600); err != nil {
		return err
	}
	q.next++
	q.waiting = append(q.waiting, r)
	return nil
}

// of returns what waits of a device, or of all with "".
func (q *reports) of(device string) (all []report) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range q.waiting {
		if device == "" || r.Device == device {
			all = append(all, r)
		}
	}
	return all
}

func (q *reports) drop(r report) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(r)
}

func (q *reports) remove(r report) {
	os.Remove(filepath.Join(q.folder, r.name))
	q.waiting = slices.DeleteFunc(q.waiting, func(x report) bool { return x.name == r.name })
}

// poke says that the uplink is there.
func (q *reports) poke() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// status and log pass on a report, or keep it while the uplink is down.
func (p *Proxy) status(w http.ResponseWriter, r *http.Request) {
	p.report(w, r, menderapi.MaxStatusBody, func(m message, d lanDevice) error { return p.ended(r, m, d) })
}

func (p *Proxy) log(w http.ResponseWriter, r *http.Request) {
	p.report(w, r, menderapi.MaxLogBody, func(message, lanDevice) error { return nil })
}

func (p *Proxy) report(w http.ResponseWriter, r *http.Request, limit int64, note func(message, lanDevice) error) {
	m, ok := read(w, r, limit)
	if !ok {
		return
	}
	d, known := p.devices.whose(m.Token)
	err := error(nil)
	if known && len(p.reports.of(d.Key)) > 0 { // first what it said before
		err = p.handOverOf(r.Context(), d.Key)
	}
	if err == nil {
		var a answer
		if a, err = p.up(r, m, menderapi.MaxErrorBody); err == nil {
			if known && a.good() {
				err = note(m, d)
			}
			if err != nil {
				p.Log.Warn("remember report", "error", err)
			}
			a.write(w)
			return
		}
	}
	switch {
	case errors.Is(err, errToken):
		fail(w, http.StatusUnauthorized, err.Error())
		return
	case !known:
		busy(w, err.Error())
		return
	}
	keep := report{Device: d.Key, At: p.Now(), Method: m.Method, Path: m.Path, Type: m.Type, Body: m.Body}
	if err := errors.Join(note(m, d), p.reports.add(keep)); err != nil {
		busy(w, err.Error())
		return
	}
	p.Log.Info("report kept until the uplink is back", "path", m.Path)
	w.WriteHeader(http.StatusNoContent)
}

// ended remembers that a device is through with its offer.
func (p *Proxy) ended(r *http.Request, m message, d lanDevice) error {
	s, err := menderapi.ParseStatus(m.Body)
	if err != nil {
		return nil // for the server to refuse
	}
	id := deployment.ID(r.PathValue("id"))
	got, err := s.Progress(id)
	if err != nil || !got.State.Final() {
		return nil
	}
	return p.devices.change(d.Key, func(one *lanDevice) bool {
		if one.Offer == nil || one.Offer.Deployment != id || one.Offer.Ended {
			return false
		}
		o := *one.Offer
		o.Ended = true
		one.Offer = &o
		return true
	})
}

// handOver gives the server what waits. A device whose token is taken no
// longer keeps its own waiting until it has another.
func (p *Proxy) handOver(ctx context.Context) {
	var seen []string
	for _, r := range p.reports.of("") {
		if slices.Contains(seen, r.Device) {
			continue
		}
		seen = append(seen, r.Device)
		if err := p.handOverOf(ctx, r.Device); errors.Is(err, errDown) {
			return
		}
	}
}

// errToken: the device has to authenticate first.
var errToken = errors.New("the device's token is taken no longer")

// handOverOf hands over one device's, in their order, and returns nil when
// nothing is left.
func (p *Proxy) handOverOf(ctx context.Context, device string) error {
	p.reports.handing.Lock()
	defer p.reports.handing.Unlock()
	for _, r := range p.reports.of(device) {
		full, err := p.reports.load(r.name)
		d, known := p.devices.named(device)
		if err != nil || !known {
			p.Log.Warn("report dropped", "path", r.Path, "error", err)
			p.reports.drop(r)
			continue
		}
		a, err := p.servers.ask(ctx, message{Method: full.Method, Path: full.Path, Type: full.Type, Token: d.Token, Body: full.Body}, menderapi.MaxErrorBody)
		switch {
		case err != nil:
			return err
		case a.code == http.StatusUnauthorized:
			return errToken
		case a.code/100 == 5, a.code == http.StatusTooManyRequests:
			return fmt.Errorf("%w: server answered %d", errDown, a.code)
		case !a.good():
			p.Log.Info("server wants a report no longer", "path", r.Path, "answered", a.code, "says", strings.TrimSpace(menderapi.ParseError(a.body)))
		}
		p.reports.drop(r)
	}
	return nil
}
