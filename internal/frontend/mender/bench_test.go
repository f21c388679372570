package mender

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// BenchmarkNothingNew is the hot path alone, without net/http's part.
func BenchmarkNothingNew(b *testing.B) {
	h, err := New(Options{Secret: testSecret, Core: coreFunc{checkIn: func(context.Context) (fleet.Assignment, error) {
		return fleet.Assignment{}, nil
	}}})
	if err != nil {
		b.Fatal(err)
	}
	body := []byte(`{"device_provides":{"artifact_name":"release-1","device_type":"board","rootfs-image.checksum":"` +
		`abababababababababababababababababababababababababababababababab","rootfs-image.version":"release-1"}}`)
	r := httptest.NewRequest("POST", menderapi.NextPath, nil)
	token := tokens{newSeal(testSecret, "device token"), time.Hour}.issue("01a205af-9677-74b4-a949-934569a3db13", time.Now())
	r.Header.Set("Authorization", "Bearer "+token)
	reader := bytes.NewReader(body)
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		r.Body = io.NopCloser(reader)
		rec := nothing{http.Header{}}
		h.ServeHTTP(rec, r)
	}
}

type nothing struct{ header http.Header }

func (n nothing) Header() http.Header       { return n.header }
func (nothing) Write(p []byte) (int, error) { return len(p), nil }
func (nothing) WriteHeader(int)             {}
