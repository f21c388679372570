package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/link"
)

// Limits of the log of one update.
const (
	maxJournal = 256 << 10 // bytes stored
	maxLine    = 4 << 10   // bytes of one line
)

// A journal is the log of the update under way. The newest lines stay when it
// grows too long; it survives a reboot when it has a store.
type journal struct {
	*slog.Logger
	store Store // nil: memory only
	now   func() time.Time
	kept  []link.Line
	size  int // bytes, about
	dirty bool
}

func newJournal(store Store, next *slog.Logger, now func() time.Time) *journal {
	j := &journal{store: store, now: now}
	j.Logger = slog.New(&tee{next.Handler(), j})
	return j
}

// note adds a line of something that the agent runs.
func (j *journal) note(level, message string) {
	j.keep(link.Line{At: j.now(), Level: level, Message: message})
}

func (j *journal) keep(l link.Line) {
	l.Message = strings.ToValidUTF8(l.Message[:min(len(l.Message), maxLine)], "")
	j.kept, j.size, j.dirty = append(j.kept, l), j.size+cost(l), true
	for j.size > maxJournal {
		j.size -= cost(j.kept[0])
		j.kept = j.kept[1:]
	}
}

// cost is about what a line takes when it is stored.
func cost(l link.Line) int { return len(l.Message)*5/4 + 100 }

func (j *journal) lines() []link.Line { return j.kept }

func (j *journal) clear() { j.kept, j.size, j.dirty = nil, 0, true }

// load reads the lines of an update that is still under way, before those of
// this run.
func (j *journal) load(underWay bool) {
	if j.store == nil || !underWay {
		return
	}
	text, err := j.store.Load()
	if err != nil {
		j.Warn("load the log", "error", err)
		return
	}
	later := j.kept
	j.clear()
	in := bufio.NewScanner(bytes.NewReader(text[:min(len(text), 2*maxJournal)]))
	in.Buffer(nil, 4*maxLine)
	for in.Scan() {
		var l link.Line
		if json.Unmarshal(in.Bytes(), &l) == nil {
			j.keep(l)
		}
	}
	for _, l := range later {
		j.keep(l)
	}
}

// save stores what was added since. A log that cannot be stored stops nobody.
func (j *journal) save() {
	if j.store == nil || !j.dirty {
		return
	}
	var text []byte
	for _, l := range j.kept {
		line, err := json.Marshal(l)
		if err == nil {
			text = append(append(text, line...), '\n')
		}
	}
	if err := j.store.Save(text); err != nil {
		j.Warn("store the log", "error", err)
		return
	}
	j.dirty = false
}

// tee gives records to the program's log and to the journal.
type tee struct {
	slog.Handler
	j *journal
}

func (t *tee) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (t *tee) Handle(ctx context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	t.j.note(strings.ToLower(r.Level.String()), b.String())
	if !t.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return t.Handler.Handle(ctx, r)
}
