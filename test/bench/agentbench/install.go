package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A bench is a folder with a device in it.
type bench struct {
	dir, agent, image, artifact string
	size                        int64
}

// install installs the image and writes it with dd, in turn. Each pair has its
// own ratio, so that a disk that is slow for a while slows both; the median
// pair counts.
func (b *bench) install(runs int) (bool, error) {
	mib := float64(b.size) / (1 << 20)
	var pairs []pair
	var peak int64
	for range runs {
		ours, rss, err := b.agentRun()
		if err != nil {
			return false, err
		}
		dd, err := b.dd()
		if err != nil {
			return false, err
		}
		pairs, peak = append(pairs, pair{ours, dd}), max(peak, rss)
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.ratio(), b.ratio()) })
	p := pairs[len(pairs)/2]
	fast, small := p.ratio() >= minThroughput, peak <= maxRSS
	row(fmt.Sprintf("install %.0f MiB, dd conv=fsync", mib), fmt.Sprintf("%.0f MiB/s", mib/p.ours.Seconds()),
		fmt.Sprintf("%.0f MiB/s", mib/p.dd.Seconds()), p.ratio(), fast)
	fmt.Printf("  pairs from %.2f to %.2f\n", pairs[0].ratio(), pairs[len(pairs)-1].ratio())
	row("peak RSS, limit", fmt.Sprintf("%.1f MiB", float64(peak)/(1<<20)), fmt.Sprint(maxRSS>>20, " MiB"), float64(peak)/maxRSS, small)
	return fast && small, nil
}

// A pair is the same bytes written by the agent and by dd, one after the other.
type pair struct{ ours, dd time.Duration }

func (p pair) ratio() float64 { return p.dd.Seconds() / p.ours.Seconds() }

// agentRun installs into a fresh slot B.
func (b *bench) agentRun() (time.Duration, int64, error) {
	if err := b.fresh(); err != nil {
		return 0, 0, err
	}
	out := &bytes.Buffer{}
	cmd := exec.Command(b.agent, "install", b.artifact, "--config", b.path("agent.json"))
	cmd.Stdout, cmd.Stderr = out, out
	syscall.Sync() // what was written before is not part of it
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	peak := make(chan int64)
	stop := make(chan struct{})
	go func() { peak <- watchPeak(cmd.Process.Pid, stop) }()
	err := cmd.Wait()
	took := time.Since(began)
	close(stop)
	if err != nil {
		return 0, 0, fmt.Errorf("moult-agent install: %w: %s", err, out)
	}
	return took, <-peak, nil
}

// watchPeak reads VmHWM until the process ends. It only ever grows, so the
// last reading is the peak, but for the last few milliseconds.
func watchPeak(pid int, stop <-chan struct{}) (peak int64) {
	for {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
				peak = max(peak, kib<<10)
			}
		}
		select {
		case <-stop:
			return peak
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// dd writes the same bytes to a file as slot B is.
func (b *bench) dd() (time.Duration, error) {
	target := b.path("dd")
	defer os.Remove(target)
	if err := sized(target, b.slotSize()); err != nil {
		return 0, err
	}
	syscall.Sync()
	began := time.Now()
	out, err := exec.Command("dd", "if="+b.image, "of="+target, "bs=1M", "conv=fsync,notrunc").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("dd: %w: %s", err, out)
	}
	return time.Since(began), nil
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }
