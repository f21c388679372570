package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/broker/embedded"
	"github.com/moult-ota/moult/internal/broker/guard"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// serveBroker is a broker that prints its address and runs until its standard
// input ends. Everybody is let in: what is measured is not who.
func serveBroker() error {
	dir, err := os.MkdirTemp("", "brokerbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := embedded.Start(embedded.Options{
		Dir: dir, Limits: guard.Limits{PerAddress: 1 << 16, PerSecond: 1 << 16, Connect: time.Minute},
		Authenticate: func(_ context.Context, l broker.Login) (topic.Role, error) {
			if strings.HasPrefix(l.ClientID, "server") {
				return topic.Server, nil
			}
			return topic.Device, nil
		},
	})
	if err != nil {
		return err
	}
	defer b.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() { _ = b.Serve(l) }()
	_, _ = bufio.NewReader(os.Stdin).ReadString(0)
	return nil
}

// A child is a broker in a process of its own.
type child struct {
	cmd  *exec.Cmd
	addr string
	stop func()
}

func startOurs(ctx context.Context) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-serve")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	return &child{cmd, strings.TrimSpace(line), func() { in.Close(); _ = cmd.Wait() }}, nil
}

// startMosquitto starts Debian's broker as Debian has it, for everybody.
func startMosquitto(ctx context.Context) (*child, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	dir, err := os.MkdirTemp("", "brokerbench")
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "listener %d 127.0.0.1\nallow_anonymous true\npersistence false\n", addr.Port), 0o644); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/usr/sbin/mosquitto", "-c", conf)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start mosquitto: %w", err)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr.String()); err == nil {
			c.Close()
			break
		}
	}
	return &child{cmd, addr.String(), func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); os.RemoveAll(dir) }}, nil
}

// rss is the memory of the child, in bytes.
func (c *child) rss() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
