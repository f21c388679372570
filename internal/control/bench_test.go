package control_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/store"
)

// sizes are the fleets of the benchmarks; with MOULT_BENCH_LARGE, a million
// devices too, which take a minute to make.
func sizes() []int {
	if os.Getenv("MOULT_BENCH_LARGE") != "" {
		return []int{1_000, 100_000, 1_000_000}
	}
	return []int{1_000, 100_000}
}

// populate adds n accepted devices that have reported r.
func (f *fixture) populate(n int, r fleet.Report) []device.ID {
	f.t.Helper()
	ids := make([]device.ID, n)
	for done := 0; done < n; {
		part := min(2000, n-done)
		err := f.db.Update(ctx, func(tx *store.Tx) error {
			for i := done; i < done+part; i++ {
				id := device.ID(uuid.Must(uuid.NewV7()).String())
				d := store.Device{Device: device.Device{ID: id, Identity: device.Identity(`{"mac":"` + string(id) + `"}`),
					Status: device.Accepted, CreatedAt: time.Now(), Type: r.Type, Release: r.Provides["artifact_name"], Provides: r.Provides},
					Member: tx.Next(), Report: control.ReportHash(r)}
				if err := tx.InsertDevice(d); err != nil {
					return err
				}
				ids[i] = id
			}
			return nil
		})
		f.must(err)
		done += part
	}
	return ids
}

func BenchmarkCheckIn(b *testing.B) {
	for _, n := range sizes() {
		f := newFixture(b)
		r := report("x", "r1", "rootfs-image.version", "r1", "rootfs-image.checksum", "c")
		ids := f.populate(n, r)
		for _, id := range ids {
			f.idle(id, r)
		}
		var next atomic.Uint64
		b.Run(fmt.Sprintf("idle/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := f.CheckIn(ctx, ids[next.Add(7919)%uint64(n)], r); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
		f.upload(spec("r2", "x"))
		f.deploy("r2", deployment.Target{Kind: deployment.ByIDs, Devices: ids[:1]}, 0)
		b.Run(fmt.Sprintf("one read/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					id := ids[1+next.Add(7919)%uint64(n-1)]
					f.Forget(id)
					if _, err := f.CheckIn(ctx, id, r); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkBareHandler is what a check-in is measured against: net/http
// answering 204.
func BenchmarkBareHandler(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer s.Close()
	s.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := s.Client().Post(s.URL, "application/json", nil)
			if err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
}

func BenchmarkCreateAndAbortDeployment(b *testing.B) {
	for _, n := range sizes() {
		f := newFixture(b)
		f.populate(n, report("x", "r1"))
		f.upload(spec("r2", "x"))
		for _, target := range []deployment.Target{all, {Kind: deployment.ByType, Type: "x"}} {
			b.Run(fmt.Sprintf("%s/%d", target.Kind, n), func(b *testing.B) {
				for b.Loop() {
					f.must(f.AbortDeployment(ctx, f.deploy("r2", target, 0)))
				}
			})
		}
	}
}

// BenchmarkRollout is a whole update of one device: offered, four states, done.
func BenchmarkRollout(b *testing.B) {
	f := newFixture(b)
	ids := f.populate(b.N, report("x", "r1"))
	f.upload(spec("r2", "x"))
	d := f.deploy("r2", all, 0)
	r := report("x", "r1")
	b.ResetTimer()
	var next atomic.Int64
	b.SetParallelism(32) // devices at once, that share commits
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := ids[next.Add(1)-1]
			f.told(id, r)
			f.report(id, d, deployment.Downloading, deployment.Installing, deployment.Rebooting, deployment.Trying, deployment.Done)
		}
	})
}

func BenchmarkLastContacts(b *testing.B) {
	f := newFixture(b)
	ids := f.populate(10_000, report("x", "r1"))
	r := report("x", "r1")
	for _, id := range ids {
		f.idle(id, r)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for b.Loop() {
		for _, id := range ids {
			f.idle(id, r)
		}
		f.must(f.Run(ended))
	}
}
