package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
)

// A remote is a device, as ssh names it.
type remote struct {
	host, port string
	source     string // what to copy there; empty: its root
}

// parseRemote reads ssh://[user@]host[:port][/source].
func parseRemote(text string) (r remote, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return r, err
	}
	if _, password := u.User.Password(); password || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return r, errors.New("want ssh://[user@]host[:port][/path on the device]")
	}
	r = remote{host: u.Hostname(), port: u.Port()}
	if u.User != nil {
		r.host = u.User.Username() + "@" + r.host
	}
	if u.Path != "/" {
		r.source = u.Path
	}
	if strings.HasPrefix(r.host, "-") || strings.ContainsAny(r.host, " \t\n\x00") {
		return r, fmt.Errorf("no host: %q", r.host)
	}
	return r, nil
}

// script runs on the device: first what the device is, then its image. A shell
// without rights uses sudo, which must not ask.
const script = `r() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
command -v moult-agent >/dev/null || { echo "moult-agent is not installed on the device, or not on its PATH" >&2; exit 127; }
r moult-agent show --json && r moult-agent snapshot -C gzip --source `

func (r remote) command(ctx context.Context, args []string) *exec.Cmd {
	all := append([]string{"-T", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"}, args...)
	if r.port != "" {
		all = append(all, "-p", r.port)
	}
	source := r.source
	if source == "" {
		source = "/"
	}
	cmd := exec.CommandContext(ctx, "ssh", append(all, "--", r.host, script+quote(source))...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = waitDelay
	return cmd
}

// quote is text as one word of a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// overSSH fills f with the image that a device sends.
func (i *Image) overSSH(ctx context.Context, f *os.File, from string, o Options) error {
	r, err := parseRemote(from)
	if err != nil {
		return err
	}
	cmd := r.command(ctx, o.SSH)
	said := &tail{also: o.Log}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w; is OpenSSH's client installed?", err)
	}
	err = i.receive(ctx, f, out, o)
	if err != nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(out, 1<<20)) // a device that ends by itself says why
		_ = cmd.Cancel()
	}
	werr := cmd.Wait()
	if exit := new(exec.ExitError); err != nil && errors.As(werr, &exit) && !exit.Exited() {
		werr = nil // it was us who ended it
	}
	if werr != nil && ctx.Err() == nil {
		if o.Log != nil { // it was seen
			said.kept = nil
		}
		return explain(werr, said.String())
	}
	return errors.Join(ctx.Err(), err)
}

// maxFacts bounds what a device says of itself, in bytes; maxBytes its image.
const (
	maxFacts = 1 << 20
	maxBytes = 1 << 40
)

// receive reads what the script sends: JSON, and the image as gzip.
func (i *Image) receive(ctx context.Context, f *os.File, in io.Reader, o Options) error {
	var facts struct {
		DeviceType string            `json:"device_type"`
		Provides   map[string]string `json:"provides"`
	}
	d := json.NewDecoder(&io.LimitedReader{R: in, N: maxFacts})
	if err := d.Decode(&facts); err != nil {
		return fmt.Errorf("read what the device says of itself: %w", err)
	}
	i.DeviceType, i.Provides = facts.DeviceType, facts.Provides
	body := bufio.NewReaderSize(io.MultiReader(d.Buffered(), in), 64<<10)
	if b, err := body.Peek(1); err == nil && b[0] == '\n' {
		_, _ = body.Discard(1)
	}
	z, err := gzip.NewReader(body)
	if err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	if err := o.copyTo(ctx, f, io.LimitReader(z, maxBytes)); err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	return nil
}

// explain adds what was said to how ssh ended.
func explain(err error, said string) error {
	exit := new(exec.ExitError)
	switch {
	case !errors.As(err, &exit):
		return err
	case exit.ExitCode() == 255:
		err = errors.New("ssh could not connect, or the connection broke")
	default:
		err = fmt.Errorf("the device ended with %d", exit.ExitCode())
	}
	if said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// A tail keeps the end of what was said.
type tail struct {
	also io.Writer
	kept []byte
}

const maxTail = 2 << 10 // bytes

func (t *tail) Write(p []byte) (int, error) {
	if t.also != nil {
		_, _ = t.also.Write(p)
	}
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-maxTail):]
	return len(p), nil
}

func (t *tail) String() string { return string(bytes.TrimSpace(t.kept)) }
