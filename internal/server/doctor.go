package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrDoctor is returned when a check failed.
var ErrDoctor = errors.New("the server would not run well; see above")

// roomWanted is the free disk space below which the doctor warns, in bytes.
const roomWanted = 1 << 30

// youngest is before any clock that is right.
var youngest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Doctor checks what a server needs, one line each, and opens nothing for
// longer than that takes.
func Doctor(ctx context.Context, o Options, out io.Writer) error {
	bad := 0
	for _, check := range []struct {
		name string
		run  func() (string, error)
	}{
		{"clock", func() (string, error) { return checkClock(time.Now()) }},
		{"port", func() (string, error) { return checkPort(o.Listen) }},
		{"mqtt", func() (string, error) { return checkPorts(o.MQTT, o.MQTTLeaves) }},
		{"tls", func() (string, error) { return checkTLS(o) }},
		{"data", func() (string, error) { return checkData(o.Data) }},
		{"database", func() (string, error) { return checkDB(ctx, o) }},
	} {
		said, err := check.run()
		word := "ok"
		if err != nil {
			word, said = "BAD", err.Error()
			bad++
		}
		fmt.Fprintf(out, "%-9s %-4s %s\n", check.name, word, said)
	}
	if bad > 0 {
		return ErrDoctor
	}
	return nil
}

func checkClock(now time.Time) (string, error) {
	if now.Before(youngest) {
		return "", fmt.Errorf("it is %s here; tokens and certificates need the right time", now.UTC().Format(time.RFC3339))
	}
	return now.UTC().Format(time.RFC3339), nil
}

func checkPort(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("%w (a server that already runs here has it, too)", err)
	}
	return address + " is free", l.Close()
}

// checkPorts checks those of addresses that are said.
func checkPorts(addresses ...string) (string, error) {
	all := []string{}
	for _, a := range addresses {
		if a == "" {
			continue
		}
		said, err := checkPort(a)
		if err != nil {
			return "", err
		}
		all = append(all, said)
	}
	if len(all) == 0 {
		return "off", nil
	}
	return strings.Join(all, ", "), nil
}

func checkTLS(o Options) (string, error) {
	if o.TLS == "self-signed" {
		return "self-signed; made at the first start", nil
	}
	cfg, _, err := o.certificate(time.Now())
	if err != nil || cfg == nil {
		return "plain HTTP", err
	}
	end := cfg.Certificates[0].Leaf.NotAfter
	if time.Now().After(end) {
		return "", fmt.Errorf("certificate ended %s", end.Format(time.DateOnly))
	}
	return "certificate until " + end.Format(time.DateOnly), nil
}

func checkData(dir string) (string, error) {
	l, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer l.Close()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", fmt.Errorf("look at %s: %w", dir, err)
	}
	free := st.Bavail * uint64(st.Bsize)
	if free < roomWanted {
		return "", fmt.Errorf("%d MiB free in %s, want %d at least", free>>20, dir, roomWanted>>20)
	}
	return fmt.Sprintf("%d GiB free in %s", free>>30, dir), nil
}

func checkDB(ctx context.Context, o Options) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	l, err := lock(o.Data)
	if err != nil {
		return "", err
	}
	defer l.Close()
	db, err := openDB(ctx, o)
	if err != nil {
		return "", err
	}
	if o.Database == "" {
		return "SQLite opens", db.Close()
	}
	return "PostgreSQL answers", db.Close()
}
