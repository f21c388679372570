// Brokerbench measures the embedded broker: what an idle device costs, how
// soon all of them hear a hint, and how fast a carousel runs beside Mosquitto.
//
//	go run ./test/bench/brokerbench [-devices 5000] [-waiting 200] [-chunks 1000] [-rounds 5]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"

	"github.com/moult-ota/moult/internal/wire/topic"
)

const (
	minFanOut = 0.8 // of Mosquitto
	oid       = "00112233445566778899aabbccddeeff"
	chunk     = 16 + 4096 + 16 // answer header, chunk, tag
)

func main() {
	devices := flag.Int("devices", 5000, "connected devices")
	waiting := flag.Int("waiting", 200, "devices that wait for a carousel")
	chunks := flag.Int("chunks", 1000, "chunks of the carousel")
	rounds := flag.Int("rounds", 5, "turns of each broker")
	serve := flag.Bool("serve", false, "be the broker that is measured")
	flag.Parse()
	if *serve {
		check(serveBroker())
		return
	}
	ctx := context.Background()
	check(idle(ctx, *devices))
	ok, err := carousel(ctx, *waiting, *chunks, *rounds)
	check(err)
	if !ok {
		os.Exit(1)
	}
}

// idle connects devices that wait for hints, and sends one.
func idle(ctx context.Context, n int) error {
	b, err := startOurs(ctx)
	if err != nil {
		return err
	}
	defer b.stop()
	before, err := b.rss()
	if err != nil {
		return err
	}
	all, err := connectAll(b.addr, n, topic.Release("bench"))
	if err != nil {
		return err
	}
	defer all.close()
	after, err := b.rss()
	if err != nil {
		return err
	}
	row(fmt.Sprintf("memory of an idle connection, %d devices", n), fmt.Sprintf("%.1f KiB", float64(after-before)/float64(n)/1024), "", 0, "")
	took, err := all.hint(b.addr, topic.Release("bench"))
	if err != nil {
		return err
	}
	slices.Sort(took)
	row("hint to all of them", fmt.Sprintf("half in %.0f ms, all in %.0f ms", ms(took[len(took)/2]), ms(took[len(took)-1])), "", 0, "")
	return nil
}

// carousel sends the same chunks through ours and through Mosquitto, in turn.
func carousel(ctx context.Context, waiting, chunks, rounds int) (bool, error) {
	starts := []func(context.Context) (*child, error){startOurs, startMosquitto}
	var rates [2][]float64
	for range rounds {
		for i, start := range starts {
			r, err := fanOut(ctx, start, waiting, chunks)
			if err != nil {
				return false, err
			}
			rates[i] = append(rates[i], r)
		}
	}
	var ratios []float64
	for i := range rates[0] {
		ratios = append(ratios, rates[0][i]/rates[1][i])
	}
	ratio := median(ratios)
	row(fmt.Sprintf("carousel of %d chunks to %d devices", chunks, waiting), fmt.Sprintf("%.0f msg/s", median(rates[0])),
		fmt.Sprintf("%.0f msg/s", median(rates[1])), ratio, verdict(ratio >= minFanOut))
	return ratio >= minFanOut, nil
}

func fanOut(ctx context.Context, start func(context.Context) (*child, error), waiting, chunks int) (float64, error) {
	b, err := start(ctx)
	if err != nil {
		return 0, err
	}
	defer b.stop()
	all, err := connectAll(b.addr, waiting, topic.Carousel(oid))
	if err != nil {
		return 0, err
	}
	defer all.close()
	took, err := all.carousel(b.addr, topic.Carousel(oid), chunks)
	if err != nil {
		return 0, err
	}
	return float64(waiting*chunks) / took.Seconds(), nil
}

func row(name, ours, reference string, ratio float64, verdict string) {
	if verdict == "" {
		fmt.Printf("%-52s %s\n", name, ours)
		return
	}
	fmt.Printf("%-52s %s, Mosquitto %s, ratio %.2f, target %.1f %s\n", name, ours, reference, ratio, minFanOut, verdict)
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "MISSED"
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "brokerbench:", err)
		os.Exit(1)
	}
}
