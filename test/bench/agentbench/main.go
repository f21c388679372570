// Agentbench measures moult-agent as a device has it: the memory and the time
// that installing an image takes, beside dd writing the same bytes to the
// same kind of file in the same run, and the size of the program for every
// architecture.
//
//	go run ./test/bench/agentbench [-mib 1024] [-runs 5] [-dir DIR] [-sizes=false]
//
// It exits 1 when something misses its limit. It needs room for five images.
package main

import (
	"flag"
	"fmt"
	"os"
)

// Limits of what a device gives.
const (
	maxRSS        = 32 << 20 // bytes, peak, while installing
	minThroughput = 0.8      // of dd conv=fsync
	maxSize       = 7500000  // bytes, linux/arm, stripped, HTTP only
)

func main() {
	mib := flag.Int64("mib", 1024, "size of the image in MiB")
	runs := flag.Int("runs", 5, "measure so often, in turn with dd, and take the median")
	dir := flag.String("dir", "", "folder for the images; its disk is what is measured")
	sizes := flag.Bool("sizes", true, "build for every architecture")
	flag.Parse()
	ok, err := run(*dir, *mib<<20, *runs, *sizes)
	if err != nil {
		fmt.Fprintln(os.Stderr, "agentbench:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(dir string, size int64, runs int, sizes bool) (bool, error) {
	dir, err := os.MkdirTemp(dir, "agentbench-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	b, err := newBench(dir, size)
	if err != nil {
		return false, err
	}
	fmt.Printf("%-34s %14s %14s %8s\n", "", "ours", "reference", "ratio")
	ok, err := b.install(runs)
	if err != nil || !sizes {
		return ok, err
	}
	small, err := b.sizes()
	return ok && small, err
}

// row prints one line of the table.
func row(name, ours, reference string, ratio float64, ok bool) {
	verdict := "ok"
	if !ok {
		verdict = "MISSED"
	}
	fmt.Printf("%-34s %14s %14s %8.2f %s\n", name, ours, reference, ratio, verdict)
}
