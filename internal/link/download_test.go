package link_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/link"
)

// A line is an Opener that breaks as its script says: each connection gives
// so many bytes and then an error. An empty script gives everything.
type line struct {
	content []byte
	script  []broken
	opens   int
}

type broken struct {
	after int
	err   error
	tag   string
	total int64 // 0 means the truth
	fails error // of Open
}

func (l *line) Open(_ context.Context, _ string, offset int64) (link.Stream, error) {
	b := broken{after: len(l.content)}
	if l.opens < len(l.script) {
		b = l.script[l.opens]
	}
	l.opens++
	if b.fails != nil {
		return link.Stream{}, b.fails
	}
	if b.total == 0 {
		b.total = int64(len(l.content))
	}
	end := min(int(offset)+b.after, len(l.content))
	if b.err == nil {
		b.err = io.EOF
	}
	body := io.MultiReader(bytes.NewReader(l.content[offset:end]), failing{b.err})
	return link.Stream{Body: io.NopCloser(body), Total: b.total, Tag: b.tag}, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

var errLine = errors.New("line is bad")

// patience waits on paper.
func patience(waits *[]time.Duration) link.Patience {
	return link.Patience{Tries: 3, Retry: time.Second, RetryMax: 5 * time.Second,
		Sleep: func(_ context.Context, d time.Duration) error { *waits = append(*waits, d); return nil }}
}

func TestDownload(t *testing.T) {
	down := broken{fails: errLine}
	tests := []struct {
		name   string
		script []broken
		want   error
		waits  string
	}{
		{"in one piece", nil, nil, "[]"},
		{"in three", []broken{{after: 10, err: errLine}, {after: 300}}, nil, "[1s 1s]"},
		{"end of stream too early", []broken{{after: 999}}, nil, "[1s]"},
		{"server restarts", []broken{{after: 10}, down, down}, nil, "[1s 2s 4s]"},
		{"server stays away", []broken{down, down, down, down}, errLine, "[1s 2s 4s]"},
		{"busy", []broken{{fails: &link.BusyError{After: 42 * time.Second}}}, nil, "[42s]"},
		{"link expired midway", []broken{{after: 10}, {fails: link.ErrExpired}}, link.ErrExpired, "[1s]"},
		{"other artifact", []broken{{after: 10, tag: "a"}, {after: 10, tag: "b"}}, link.ErrChanged, "[1s]"},
		{"other length", []broken{{after: 10}, {after: 10, total: 7}}, link.ErrChanged, "[1s]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			content := bytes.Repeat([]byte("0123456789"), 100)
			var waits []time.Duration
			d := link.NewDownload(t.Context(), &line{content: content, script: tt.script}, "x", 0, patience(&waits))
			got, err := io.ReadAll(d)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if tt.want == nil && !bytes.Equal(got, content) {
				t.Errorf("got %d bytes, not the %d that were sent", len(got), len(content))
			}
			if broken := d.Broken(); (broken == nil) != (tt.want == nil) {
				t.Errorf("Broken() = %v", broken)
			}
			if text := fmt.Sprint(waits); text != tt.waits {
				t.Errorf("waits %s, want %s", text, tt.waits)
			}
		})
	}
}

// TestDownloadByChance breaks the line anywhere.
func TestDownloadByChance(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 3))
		content := make([]byte, 1+rng.IntN(5000))
		for i := range content {
			content[i] = byte(rng.Uint32())
		}
		l := &line{content: content}
		for range rng.IntN(40) {
			l.script = append(l.script, broken{after: 1 + rng.IntN(400), err: []error{nil, errLine}[rng.IntN(2)]})
		}
		var waits []time.Duration
		got, err := io.ReadAll(link.NewDownload(t.Context(), l, "x", 0, patience(&waits)))
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("seed %d: got %d of %d bytes, %v", seed, len(got), len(content), err)
		}
	}
}

// TestUnknownLength ends where the server does.
func TestUnknownLength(t *testing.T) {
	content := []byte("all of it")
	var waits []time.Duration
	d := link.NewDownload(t.Context(), &line{content: content, script: []broken{{after: 99, total: -1}}}, "x", 0, patience(&waits))
	if got, err := io.ReadAll(d); string(got) != string(content) || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
