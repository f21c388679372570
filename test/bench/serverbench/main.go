// Serverbench measures the whole server over real HTTP and a SQLite file,
// beside a reference that is measured in the same run, in turns. It prints
// ratios, because those survive a change of machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"text/tabwriter"
	"time"
)

// A line is one result: ours beside the reference, and what is wanted.
type line struct {
	name            string
	ours, reference string
	ratio           float64
	target          string
	ok              bool
}

type bench struct {
	lines  []line
	rounds int
	round  time.Duration
	big    int
}

func main() {
	strict := flag.Bool("strict", false, "exit with 1 when a target is missed")
	rounds := flag.Int("rounds", 15, "how often each side has its turn")
	round := flag.Duration("round", 300*time.Millisecond, "how long a turn is")
	big := flag.Int("big", 1_000_000, "devices of the large fleet")
	only := flag.String("only", "", "run one part: checkin, sizes or download")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the check-ins here")
	flag.Parse()
	b := &bench{rounds: *rounds, round: *round, big: *big}
	if *profile != "" {
		f, err := os.Create(*profile)
		check(err)
		check(pprof.StartCPUProfile(f))
		defer pprof.StopCPUProfile()
	}
	ctx := context.Background()
	for _, part := range []struct {
		name string
		run  func(context.Context)
	}{{"checkin", b.checkIns}, {"sizes", b.fleetSizes}, {"download", b.downloads}} {
		if *only == "" || *only == part.name {
			part.run(ctx)
		}
	}
	if missed := b.print(); missed && *strict {
		pprof.StopCPUProfile()
		os.Exit(1)
	}
}

func (b *bench) print() (missed bool) {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tOURS\tREFERENCE\tRATIO\tTARGET\t")
	for _, l := range b.lines {
		word := "ok"
		if !l.ok {
			word, missed = "MISSED", true
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.2f\t%s\t%s\n", l.name, l.ours, l.reference, l.ratio, l.target, word)
	}
	w.Flush()
	return missed
}

// atLeast adds a line for two rates.
func (b *bench) atLeast(name, unit string, ours, reference []float64, target float64) {
	ratio := median(quotients(ours, reference))
	b.lines = append(b.lines, line{
		name, fmt.Sprintf("%.0f %s", median(ours), unit), fmt.Sprintf("%.0f %s", median(reference), unit),
		ratio, fmt.Sprintf(">= %.2f", target), ratio >= target,
	})
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "serverbench:", err)
		os.Exit(2)
	}
}
