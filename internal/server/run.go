package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/version"
)

// Run is `moult server`: it serves until SIGTERM or SIGINT and then stops in
// order; a second signal ends the process at once. What people need to know
// goes to out, the log to logs.
func Run(ctx context.Context, o Options, out, logs io.Writer) error {
	if err := o.Check(); err != nil {
		return err
	}
	ctx, restore := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer restore()
	context.AfterFunc(ctx, restore) // the second signal does what signals do
	log := NewLog(o, logs)
	s, err := Open(ctx, o, log)
	if err != nil {
		return err
	}
	err = s.listen(ctx, out)
	log.Info("server stops", "err", err)
	return errors.Join(err, s.Close())
}

func (s *Server) listen(ctx context.Context, out io.Writer) error {
	cfg, fingerprint, err := s.options.certificate(time.Now())
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", s.options.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w; --listen takes another address", err)
	}
	address := s.address(l)
	if cfg != nil {
		cfg.NextProtos = []string{"h2", "http/1.1"}
		l = tls.NewListener(l, cfg)
	}
	if err := s.greet(ctx, out, address, fingerprint); err != nil {
		l.Close()
		return err
	}
	s.log.Info("server listens", "url", address, "version", version.String())
	return s.Serve(ctx, l)
}

// address is how the server is reached, as far as it knows.
func (s *Server) address(l net.Listener) string {
	switch {
	case s.options.PublicURL != "":
		return s.options.PublicURL
	case s.options.secure():
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

// greet says where the server is and, on the very first start, how its first
// operator gets in.
func (s *Server) greet(ctx context.Context, out io.Writer, address, fingerprint string) error {
	fmt.Fprintf(out, "moult server %s listens on %s\n", version.String(), address)
	if fingerprint != "" {
		fmt.Fprintf(out, "certificate fingerprint (SHA-256): %s\n", fingerprint)
	}
	s.greetMQTT(out)
	secret, err := s.control.FirstStart(ctx)
	if errors.Is(err, control.ErrAlready) || ctx.Err() != nil { // told to stop already
		return nil
	}
	if err != nil {
		return fmt.Errorf("make first operator token: %w", err)
	}
	fmt.Fprintf(out, "operator token (shown once): %s\n", secret)
	fmt.Fprintf(out, "or open, once and within 30 minutes: %s/setup?code=%s\n", address, s.setup.open())
	pin := ""
	if fingerprint != "" {
		pin = " --tls-fingerprint " + fingerprint
	}
	fmt.Fprintf(out, "next: moult login %s%s --token-stdin\n", address, pin)
	return nil
}

// NewLog makes the logger that the options ask for.
func NewLog(o Options, w io.Writer) *slog.Logger {
	var level slog.Level
	level.UnmarshalText([]byte(o.LogLevel)) // Check has seen it
	ho := &slog.HandlerOptions{Level: level}
	f, isFile := w.(*os.File)
	if o.LogFormat == "text" || o.LogFormat == "auto" && isFile && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(w, ho))
	}
	return slog.New(slog.NewJSONHandler(w, ho))
}
