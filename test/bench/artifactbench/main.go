// Artifactbench writes, validates and reads an artifact of real files beside
// mender-artifact, in one run, and prints the times as ratios.
//
//	go run ./test/bench/artifactbench [-mib 512] [-runs 3] [-cache .cache]
//
// It exits 1 when a ratio misses its target.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	mib := flag.Int("mib", 512, "size of the image")
	runs := flag.Int("runs", 3, "measure at least so often, and take the fastest")
	cache := flag.String("cache", ".cache", "where the image is kept")
	flag.Parse()
	ok, err := run(*mib, *runs, *cache)
	if err != nil {
		fmt.Fprintln(os.Stderr, "artifactbench:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(mib, runs int, cache string) (bool, error) {
	image, err := makeImage(cache, mib)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp(cache, "artifactbench-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("%s, %d MiB, fastest of %d runs or more\n\n", filepath.Base(image), mib, runs)
	fmt.Printf("%-22s %10s %10s %7s %7s  %s\n", "", "ours", "theirs", "ratio", "target", "ok")
	ok := true
	for _, c := range cases(image, dir) {
		ours, theirs, err := measure(c, runs)
		if err != nil {
			return false, fmt.Errorf("%s: %w", c.name, err)
		}
		ok = report(c, ours, theirs) && ok
	}
	return sizes(dir) && ok, nil
}

// Short work is measured more often than runs says: up to mostRuns times, or
// until it took so long.
const (
	mostRuns = 12
	longWork = 8 * time.Second
)

// measure runs both in turn, so that a busy machine slows both.
func measure(c comparison, runs int) (ours, theirs time.Duration, err error) {
	start := time.Now()
	for i := 0; i < runs || i < mostRuns && time.Since(start) < longWork; i++ {
		mine, err := timed(c.ours)
		if err != nil {
			return 0, 0, err
		}
		other, err := timed(c.theirs)
		if err != nil {
			return 0, 0, err
		}
		if i == 0 || mine < ours {
			ours = mine
		}
		if i == 0 || other < theirs {
			theirs = other
		}
	}
	return ours, theirs, nil
}

func timed(f func() error) (time.Duration, error) {
	start := time.Now()
	err := f()
	return time.Since(start), err
}

func report(c comparison, ours, theirs time.Duration) bool {
	ratio := ours.Seconds() / theirs.Seconds()
	ok := ratio <= c.target
	fmt.Printf("%-22s %9.2fs %9.2fs %7.2f %7s  %s\n", c.name, ours.Seconds(), theirs.Seconds(), ratio, fmt.Sprintf("≤%.2f", c.target), word(ok))
	return ok
}

func sizes(dir string) bool {
	ours, theirs := size(dir, "ours.zstd"), size(dir, "theirs.gzip")
	ok := ours < theirs
	fmt.Printf("%-22s %7dMiB %7dMiB %7.2f %7s  %s\n", "size zstd : gzip", ours>>20, theirs>>20, float64(ours)/float64(theirs), "<1.00", word(ok))
	gzip := size(dir, "ours.gzip")
	fmt.Printf("%-22s %7dMiB %7dMiB %7.2f\n", "size gzip", gzip>>20, theirs>>20, float64(gzip)/float64(theirs))
	return ok
}

func size(dir, name string) int64 {
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		return 0
	}
	return info.Size()
}

func word(ok bool) string {
	if ok {
		return "yes"
	}
	return "NO"
}
