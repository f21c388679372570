package mqtt

import (
	"context"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

// A job is an artifact whose object somebody waits for, and through whose
// assignment it may be read.
type job struct {
	device     device.ID
	deployment deployment.ID
	artifact   fleet.Artifact
}

// A workshop makes objects, one at a time, each once.
type workshop struct {
	*Door
	mu    sync.Mutex
	under map[string]bool // SHA-256 of artifacts that are ordered
	jobs  chan job
}

const maxJobs = 256

func newWorkshop(d *Door) *workshop {
	return &workshop{Door: d, under: map[string]bool{}, jobs: make(chan job, maxJobs)}
}

// order takes a job, unless it is taken already, or too many are: then the
// device asks again.
func (w *workshop) order(j job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.under[j.artifact.SHA256] {
		return
	}
	select {
	case w.jobs <- j:
		w.under[j.artifact.SHA256] = true
	default:
	}
}

func (w *workshop) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-w.jobs:
			w.make(ctx, j)
		}
	}
}

// make makes an object and calls those who wait for it.
func (w *workshop) make(ctx context.Context, j job) {
	began := w.Now()
	err := w.object(ctx, j)
	w.mu.Lock()
	delete(w.under, j.artifact.SHA256)
	w.mu.Unlock()
	if err != nil {
		w.Logger.Error("make object", "artifact", j.artifact.Name, "error", err)
		return
	}
	w.Logger.Info("object made", "artifact", j.artifact.Name, "bytes", j.artifact.Size, "took", w.Now().Sub(began).Round(time.Millisecond))
	w.everywhere(ctx, func(ctx context.Context, k *desk) {
		for _, s := range k.seats {
			if s.wants == j.artifact.SHA256 {
				k.look(ctx, s)
			}
		}
	})
}

func (w *workshop) object(ctx context.Context, j job) error {
	content, err := w.Core.Open(ctx, j.device, j.deployment)
	if err != nil {
		return err
	}
	defer content.Close()
	return w.Objects.Make(ctx, j.artifact.SHA256, content)
}
