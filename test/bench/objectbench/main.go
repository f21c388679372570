// Objectbench makes objects from artifacts, beside what openssl reaches with
// the same cipher and the same hash, in one run.
//
//	go run ./test/bench/objectbench [-mib 512] [-runs 5] [-cache .cache]
//
// It exits 1 when a ratio misses its target.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"
)

// Targets: what making an object reaches of AES-256-GCM alone on one core, and
// of the same work on one core: encrypt, hash the ciphertext once, write it.
const (
	minOfCipher = 0.5
	minOfWork   = 0.5
)

func main() {
	mib := flag.Int("mib", 512, "size of the artifact")
	runs := flag.Int("runs", 5, "measure so often, and take the fastest")
	cache := flag.String("cache", ".cache", "where the objects are written")
	flag.Parse()
	ok, err := run(*mib, *runs, *cache)
	if err != nil {
		fmt.Fprintln(os.Stderr, "objectbench:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

// A speed is the fastest of several runs, in bytes per second.
type speed struct {
	name string
	run  func() (float64, error)
	best float64
}

func run(mib, runs int, cache string) (bool, error) {
	b, err := newPackaging(mib, cache)
	if err != nil {
		return false, err
	}
	defer b.close()
	one, all := "1", fmt.Sprint(runtime.GOMAXPROCS(0))
	speeds := []*speed{
		{name: "openssl aes-256-gcm", run: func() (float64, error) { return opensslSpeed("aes-256-gcm", one) }},
		{name: "openssl sha256", run: func() (float64, error) { return opensslSpeed("sha256", one) }},
		{name: "openssl sha256, all cores", run: func() (float64, error) { return opensslSpeed("sha256", all) }},
		{name: "write and sync a file", run: b.write},
		{name: "make", run: b.make},
		{name: "make, no disk", run: b.inMemory},
		{name: "serve", run: b.serve},
	}
	fmt.Printf("an artifact of %d MiB in chunks of 4 KiB, %s cores, openssl on one, fastest of %d runs\n\n", mib, all, runs)
	for range runs { // in turn, so that a busy machine slows all
		for _, s := range speeds {
			got, err := s.run()
			if err != nil {
				return false, fmt.Errorf("%s: %w", s.name, err)
			}
			s.best = max(s.best, got)
		}
	}
	return report(speeds), nil
}

// report prints the speeds and then the targets.
func report(speeds []*speed) bool {
	for _, s := range speeds {
		fmt.Printf("%-28s %7.0f MB/s\n", s.name, s.best/1e6)
	}
	aes, sha, shaAll, disk, made := speeds[0].best, speeds[1].best, speeds[2].best, speeds[3].best, speeds[4].best
	fmt.Printf("\n%-28s %12s %7s %7s  %s\n", "make, beside", "", "ratio", "target", "ok")
	ok := row("aes-256-gcm", made, aes, minOfCipher)
	ok = row("aes, sha256, write", made, 1/(1/aes+1/sha+1/disk), minOfWork) && ok
	// each byte is hashed twice: for its leaf, and for the name of its blob
	fmt.Printf("%-28s %7.0f MB/s %7.2f\n", "sha256 twice, all cores", shaAll/2/1e6, made/(shaAll/2))
	return ok
}

func row(name string, made, other, target float64) bool {
	ratio := made / other
	ok := ratio >= target
	fmt.Printf("%-28s %7.0f MB/s %7.2f %7s  %s\n", name, other/1e6, ratio, fmt.Sprintf("≥%.2f", target), word(ok))
	return ok
}

func word(ok bool) string {
	if ok {
		return "yes"
	}
	return "NO"
}

// perSecond runs f over size bytes.
func perSecond(size int64, f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return float64(size) / time.Since(start).Seconds(), err
}
