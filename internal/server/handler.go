package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"

	"github.com/moult-ota/moult/internal/api"
	"github.com/moult-ota/moult/internal/auth"
	"github.com/moult-ota/moult/internal/version"
)

// Handler is everything on the port: operators, devices, and those who watch
// over the server.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(api.Prefix+"/", api.New(api.Options{Control: s.control, Log: s.log, Closing: s.closing}))
	mux.Handle("/api/devices/", s.devices)
	mux.Handle("GET /setup", &s.setup)
	mux.Handle("POST /setup", &s.setup)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /version", s.version)
	mux.Handle("GET /metrics", s.guard(s.metrics.handler()))
	mux.HandleFunc("/", nothing)
	return s.around(mux)
}

// nothing answers paths that are nobody's.
func nothing(w http.ResponseWriter, r *http.Request) {
	api.WriteProblem(w, api.NewProblem(http.StatusNotFound, "no such path; operators use "+api.Prefix+", devices /api/devices"))
}

// guard asks for a token that may read, unless the metrics are open.
func (s *Server) guard(next http.Handler) http.Handler {
	if s.options.openMetrics() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secret, err := auth.Bearer(r.Header)
		if err == nil {
			_, err = s.control.CheckToken(r.Context(), secret) // every token may read
		}
		if err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="moult"`)
			api.WriteProblem(w, api.NewProblem(http.StatusUnauthorized, "metrics need a token that may read, or --metrics open"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// healthz says that the process answers; restarting it would not help.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") }

// readyz says that requests may be sent here: the store answers, and the
// server is not stopping.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	select {
	case <-s.closing:
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	default:
	}
	if err := s.control.Ready(r.Context()); err != nil {
		s.log.WarnContext(r.Context(), "not ready", "err", err)
		http.Error(w, "not ready; the server's log says why", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *Server) version(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"version": version.String(), "api": "v1", "go": runtime.Version()})
}
