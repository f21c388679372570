// Menderbench measures the server behind Mender's device API beside bare
// net/http, in one process and one run, and prints ratios.
//
//	go run ./test/bench/menderbench [-time 500ms] [-runs 10] [-conns 16] [-mib 64]
//
// It exits 1 when a ratio misses its target.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

type settings struct {
	time       time.Duration // of one measurement
	runs       int
	conns, mib int
}

func main() {
	var s settings
	flag.DurationVar(&s.time, "time", 500*time.Millisecond, "measure so long")
	flag.IntVar(&s.runs, "runs", 10, "measure so often, in turn, and take the mean")
	flag.IntVar(&s.conns, "conns", 16, "connections at once")
	flag.IntVar(&s.mib, "mib", 64, "size of the artifact")
	flag.Parse()
	ok, err := run(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "menderbench:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

// A comparison is two ways to serve, each a number per second.
type comparison struct {
	name, unit   string
	ours, theirs func(time.Duration) (float64, error)
	target       float64 // least ratio
}

func run(s settings) (bool, error) {
	dir, err := os.MkdirTemp("", "menderbench-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	w, err := newWorld(dir, s)
	if err != nil {
		return false, err
	}
	defer w.close()
	fmt.Printf("%d connections, mean of %d runs of %v each, in turn\n\n", s.conns, s.runs, s.time)
	fmt.Printf("%-34s %12s %12s %7s %7s\n", "", "ours", "bare", "ratio", "target")
	ok := true
	for _, c := range w.comparisons() {
		met, err := c.measure(s)
		if err != nil {
			return false, fmt.Errorf("%s: %w", c.name, err)
		}
		ok = met && ok
	}
	return ok, nil
}

// measure runs both in turn and often, so that a busy machine slows both, and
// each goes first as often as the other.
func (c comparison) measure(s settings) (bool, error) {
	var sum [2]float64
	for i := range 2 * s.runs {
		which := (i + i/2) % 2 // ours, theirs, theirs, ours, …
		n, err := [2]func(time.Duration) (float64, error){c.ours, c.theirs}[which](s.time)
		if err != nil {
			return false, err
		}
		sum[which] += n / float64(s.runs)
	}
	ours, theirs := sum[0], sum[1]
	ratio := ours / theirs
	fmt.Printf("%-34s %8.0f %s %8.0f %s %7.2f %7.2f\n", c.name, ours, c.unit, theirs, c.unit, ratio, c.target)
	return ratio >= c.target, nil
}
