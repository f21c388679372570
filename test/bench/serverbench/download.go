package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

const (
	artifactSize   = 64 << 20 // bytes of payload that does not compress
	rangeSize      = 4 << 20  // bytes of one range
	downloadTarget = 0.9
)

// upload makes an artifact and gives it to the server.
func (w *world) upload(ctx context.Context, release, typ string, size int) {
	payload := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(payload)
	f, err := os.CreateTemp(w.dir, "artifact-")
	check(err)
	defer f.Close()
	check(artifact.Write(f, artifact.Spec{
		Name: release, DeviceTypes: []string{typ}, PayloadType: "rootfs-image", Compression: "none", TempDir: w.dir,
		Provides: map[string]string{"rootfs-image.version": release},
		Files: []artifact.Source{{Name: "image", Size: int64(size), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(payload)), nil
		}}},
	}))
	_, err = f.Seek(0, io.SeekStart)
	check(err)
	_, err = w.op.UploadArtifact(ctx, f, client.UploadArtifactParams{})
	check(err)
	check(os.Rename(f.Name(), filepath.Join(w.dir, release+".mender")))
}

// downloads: ranges of an artifact through a device's link, beside
// http.FileServer with the same file.
func (b *bench) downloads(ctx context.Context) {
	w := newWorld(ctx, 1000)
	defer w.close()
	w.upload(ctx, "big", "rpi", artifactSize)
	_, err := w.op.CreateDeployment(ctx, client.NewDeployment{Release: "big", Target: client.Target{All: true}}, client.CreateDeploymentParams{})
	check(err)
	files, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	s := &http.Server{Handler: http.FileServer(http.Dir(w.dir))}
	go s.Serve(files)
	defer s.Close()
	ours := ranges(w.link(), w.address())
	theirs := ranges("/big.mender", files.Addr().String())
	a, r := turns(b.rounds, func() float64 { return ours(b.round) }, func() float64 { return theirs(b.round) })
	b.atLeast("artifact download in ranges of 4 MiB, beside http.FileServer", "MB/s", a, r, downloadTarget)
}

// link is where the first device is told to download.
func (w *world) link() string {
	l := dial(w.address())
	defer l.close()
	c := l.conns[0]
	_, err := c.Write(w.checkIn(0))
	check(err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(err)
	reply, err := menderapi.ParseNextReply(text)
	check(err)
	u, err := url.Parse(reply.URI)
	check(err)
	return u.RequestURI()
}

// ranges returns a function that reads the file over and over for some time
// on two connections, and returns megabytes per second.
func ranges(path, address string) func(time.Duration) float64 {
	requests := make([][]byte, artifactSize/rangeSize)
	for i := range requests {
		requests[i] = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nRange: bytes=%d-%d\r\n\r\n", path, address, i*rangeSize, (i+1)*rangeSize-1)
	}
	l := dial(address)
	for _, c := range l.conns[2:] {
		c.Close()
	}
	l.conns = l.conns[:2]
	return func(d time.Duration) float64 {
		return l.run(d, func(conn, n int) []byte { return requests[(conn*8+n)%len(requests)] }, "206") * rangeSize / 1e6
	}
}
