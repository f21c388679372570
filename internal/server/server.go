// Package server puts the server together: the control plane over a store and
// a place for blobs, the operators' API, the devices' API, and what watches
// over them, all on one port. Everything it decides is which part meets which.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/blob"
	"github.com/moult-ota/moult/internal/blob/disk"
	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/frontend/mender"
	"github.com/moult-ota/moult/internal/store"
	"github.com/moult-ota/moult/internal/store/postgres"
	"github.com/moult-ota/moult/internal/store/sqlite"
	"github.com/moult-ota/moult/mcuboot"
)

// A Server is an open data directory and all that answers from it.
type Server struct {
	options Options
	log     *slog.Logger
	lock    *os.File
	db      *store.DB
	control *control.Control
	devices http.Handler
	metrics *metrics
	setup   setup
	mqtt    mqttSide
	closing chan struct{} // closed when the server begins to stop
	stopRun context.CancelFunc
	ran     chan error // what control.Run returned
}

// Open opens the data directory and starts the background work. The caller
// calls Close, also when Serve was never called.
func Open(ctx context.Context, o Options, log *slog.Logger) (*Server, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &Server{options: o, log: log, closing: make(chan struct{}), ran: make(chan error, 1)}
	if err := s.open(ctx); err != nil {
		s.release()
		return nil, err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.stopRun = cancel
	go func() { s.ran <- s.control.Run(run) }()
	if o.hasMQTT() {
		if err := s.openMQTT(ctx, run); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) (err error) {
	if s.lock, err = lock(s.options.Data); err != nil {
		return err
	}
	if s.db, err = openDB(ctx, s.options); err != nil {
		return err
	}
	blobs, err := s.openBlobs(ctx)
	if err != nil {
		return err
	}
	keys, err := verifiers(s.options.VerifyKeys)
	if err != nil {
		return err
	}
	images, err := imageKeys(s.options.ImageKeys)
	if err != nil {
		return err
	}
	if s.control, err = control.New(control.Options{DB: s.db, Blobs: blobs, Logger: s.log, Keys: keys, ImageKeys: images}); err != nil {
		return err
	}
	s.metrics = newMetrics(s.control)
	s.setup.now, s.setup.token = time.Now, s.firstToken
	s.devices, err = s.deviceDoor(ctx)
	return err
}

// openBlobs opens the place for artifacts, and for objects if there are any.
func (s *Server) openBlobs(ctx context.Context) (blob.Store, error) {
	blobs, err := disk.Open(filepath.Join(s.options.Data, "blobs"))
	if err != nil || !s.options.hasMQTT() {
		return blobs, err
	}
	s.mqtt.objects, err = openObjects(ctx, s.options.Data)
	return twofold{blobs, s.mqtt.objects}, err
}

func openDB(ctx context.Context, o Options) (*store.DB, error) {
	if o.Database != "" {
		return postgres.Open(ctx, o.Database)
	}
	return sqlite.Open(ctx, filepath.Join(o.Data, "moult.db"))
}

// deviceDoor is Mender's device API over the control plane.
func (s *Server) deviceDoor(ctx context.Context) (http.Handler, error) {
	secret, err := s.control.Secret(ctx, "mender")
	if err != nil {
		return nil, err
	}
	return mender.New(mender.Options{Core: s.control, Secret: secret, BaseURL: s.options.PublicURL, Logger: s.log})
}

// verifiers reads the public keys that uploads are checked with.
func verifiers(files []string) ([]artifact.Verifier, error) {
	var keys []artifact.Verifier
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read verify-key: %w", err)
		}
		key, err := artifact.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("read verify-key %s: %w", file, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// imageKeys reads the public keys that MCUboot images are checked with.
func imageKeys(files []string) ([]mcuboot.PublicKey, error) {
	var keys []mcuboot.PublicKey
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read image-key: %w", err)
		}
		key, err := mcuboot.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("read image-key %s: %w", file, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (s *Server) firstToken(ctx context.Context) (string, error) {
	_, secret, err := s.control.CreateToken(ctx, "first operator", []string{"admin"}, 0)
	return secret, err
}

// Close ends the background work, waits until everything is written, and lets
// the data directory go.
func (s *Server) Close() error {
	s.stopRun()
	err := <-s.ran
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, s.closeMQTT(), s.release())
}

func (s *Server) release() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// stopTime is how long requests may take to finish when the server stops.
const stopTime = 20 * time.Second

// Serve answers on l until ctx ends; then it takes no new requests, lets
// event streams go, and finishes the rest.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	h := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // what clients do wrong with TLS
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	select {
	case err := <-served:
		close(s.closing)
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	close(s.closing)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := h.Shutdown(stop); err != nil {
		s.log.Warn("requests were cut off", "err", err)
		h.Close()
	}
	return nil
}
