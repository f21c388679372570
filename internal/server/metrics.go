package server

import (
	"context"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/version"
)

// metrics are what Prometheus reads. Labels are routes and states, never ids.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(c *control.Control) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moult_http_requests_total", Help: "Requests answered, by route and status class.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "moult_http_request_seconds", Help: "Time to answer, by route.", Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
		}, []string{"route"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "moult_build", Help: "Always 1; the label says which build this is.", ConstLabels: prometheus.Labels{"version": version.String()},
	})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.seconds, build, newFleetCollector(c),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// request counts one; an empty route is one that no handler has.
func (m *metrics) request(route string, status int, took time.Duration) {
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status/100)+"xx").Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// countEvery bounds how often a scrape counts the devices anew.
const countEvery = 15 * time.Second

// A fleetCollector counts devices by status when it is asked, not oftener
// than countEvery.
type fleetCollector struct {
	control *control.Control
	desc    *prometheus.Desc
	mu      sync.Mutex
	at      time.Time
	counts  map[device.Status]int
}

func newFleetCollector(c *control.Control) *fleetCollector {
	return &fleetCollector{control: c, desc: prometheus.NewDesc("moult_devices", "Devices by status.", []string{"status"}, nil)}
}

// Describe is what Prometheus asks for.
func (f *fleetCollector) Describe(ch chan<- *prometheus.Desc) { ch <- f.desc }

// Collect is what Prometheus asks for.
func (f *fleetCollector) Collect(ch chan<- prometheus.Metric) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) > countEvery {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		counts, err := f.control.CountDevices(ctx)
		if err != nil {
			ch <- prometheus.NewInvalidMetric(f.desc, err)
			return
		}
		f.at, f.counts = time.Now(), counts
	}
	for status, n := range f.counts {
		ch <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, float64(n), string(status))
	}
}

func stack() string { return string(debug.Stack()) }
