package main

import (
	"fmt"
	"os"
)

// sizes builds the agent for the architectures that are released.
func (b *bench) sizes() (bool, error) {
	small := true
	for _, arch := range []string{"amd64", "arm64", "arm", "mipsle", "riscv64"} {
		to := b.path("moult-agent-" + arch)
		n, err := build(to, arch, "6")
		if err != nil {
			return false, err
		}
		os.Remove(to)
		ok := arch != "arm" || n <= maxSize
		small = small && ok
		row("size linux/"+arch+limited[arch == "arm"], fmt.Sprintf("%.2f MB", float64(n)/1e6), fmt.Sprintf("%.2f MB", maxSize/1e6), float64(n)/maxSize, ok)
	}
	return small, nil
}

// limited marks the one architecture that has a limit.
var limited = map[bool]string{true: ", limited", false: ", arm's limit beside"}
