package artifact_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/moult-ota/moult/artifact"
)

var compressions = []artifact.Compression{artifact.None, artifact.Gzip, artifact.Zstd, artifact.ZstdFastest, artifact.ZstdFast, artifact.ZstdBetter, artifact.ZstdBest}

func TestRoundTrip(t *testing.T) {
	pair := newECDSA(t)
	image := bytes.Repeat(noise(70_001), 300) // two zstd frames
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			spec := rootfs(image)
			spec.Compression, spec.Signer = c, pair.signer(t)
			for _, ahead := range []bool{false, true} {
				got, err := readAll(bytes.NewReader(write(t, spec)), artifact.ReaderOptions{Keys: []artifact.Verifier{pair.verifier(t)}, ReadAhead: ahead})
				check(t, err)
				if got.Files["rootfs.ext4"] != string(image) || !got.Header.Verified {
					t.Errorf("read %d bytes, verified %v", len(got.Files["rootfs.ext4"]), got.Header.Verified)
				}
				if err := got.Header.Satisfies(values{"device_type": "qemu"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// An error of the stream is not a fault of the artifact: the device resumes.
func TestStreamErrors(t *testing.T) {
	link := errors.New("link is down")
	for _, c := range []artifact.Compression{artifact.None, artifact.Gzip, artifact.Zstd} {
		spec := rootfs(noise(40_000))
		spec.Compression = c
		whole := write(t, spec)
		for n := 0; n < len(whole); n += 487 {
			cut := whole[:n]
			_, err := readAll(io.MultiReader(bytes.NewReader(cut), iotest.ErrReader(link)), unsigned)
			if !errors.Is(err, link) || errors.Is(err, artifact.ErrFormat) || errors.Is(err, artifact.ErrChecksum) {
				t.Fatalf("%s: stream breaks after %d bytes: %v, want %v", c, n, err, link)
			}
			_, err = readAll(bytes.NewReader(cut), unsigned)
			var broken *artifact.RuleError
			if !errors.As(err, &broken) || broken.Rule != artifact.RuleTruncated && broken.Rule != artifact.RuleMissing {
				t.Fatalf("%s: stream ends after %d bytes: %v, want rule truncated", c, n, err)
			}
		}
	}
}

// Every single changed bit is refused, or changes nothing that counts: names
// and times in tar headers are not signed, and not believed either.
func TestFlippedBits(t *testing.T) {
	pair := newECDSA(t)
	spec := rootfs(noise(300))
	spec.Signer, spec.Compression = pair.signer(t), artifact.None
	whole := write(t, spec)
	opts := artifact.ReaderOptions{Keys: []artifact.Verifier{pair.verifier(t)}}
	want, err := readAll(bytes.NewReader(whole), opts)
	check(t, err)
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 1 << (i % 8)
		got, err := readAll(bytes.NewReader(changed), opts)
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("a changed byte at %d is believed: %+v", i, got.Header)
		}
	}
}

func TestNextReadsOn(t *testing.T) {
	spec := artifact.Spec{Name: "n", DeviceTypes: []string{"d"}, PayloadType: "m",
		Files: []artifact.Source{file("a", noise(100_000)), file("b", noise(10))}}
	whole := write(t, spec)
	a, err := artifact.NewReader(bytes.NewReader(whole), unsigned)
	check(t, err)
	for _, want := range []string{"a", "b"} {
		f, err := a.Next() // without reading it
		check(t, err)
		if f.Name != want {
			t.Errorf("Next() = %s, want %s", f.Name, want)
		}
	}
	for range 2 {
		if _, err := a.Next(); err != io.EOF {
			t.Errorf("Next() = %v, want io.EOF", err)
		}
	}
}

// A payload with a wrong sum must not end like a good one.
func TestReadReportsChecksum(t *testing.T) {
	f := forge()
	f.lines = spoil(0)
	a, err := artifact.NewReader(bytes.NewReader(f.bytes()), unsigned)
	check(t, err)
	file, err := a.Next()
	check(t, err)
	if _, err := io.ReadAll(file); !errors.Is(err, artifact.ErrChecksum) {
		t.Errorf("Read() = %v, want ErrChecksum", err)
	}
	for range 2 {
		if _, err := a.Next(); !errors.Is(err, artifact.ErrChecksum) {
			t.Errorf("Next() after a wrong sum = %v, want ErrChecksum", err)
		}
	}
}

// SumLater leaves the sum to the caller, for that file alone.
func TestSumLater(t *testing.T) {
	f := forge()
	f.lines = spoil(0)
	a, err := artifact.NewReader(bytes.NewReader(f.bytes()), unsigned)
	check(t, err)
	file, err := a.Next()
	check(t, err)
	file.SumLater()
	got, err := io.ReadAll(file)
	check(t, err)
	if sum := artifact.Digest(sha256.Sum256(got)); sum == file.SHA256 || !errors.Is(file.WrongSum(sum), artifact.ErrChecksum) {
		t.Errorf("sum %v, WrongSum() = %v", sum, file.WrongSum(sum))
	}
	for err == nil {
		_, err = a.Next()
	}
	if err != io.EOF {
		t.Errorf("Next() = %v, want io.EOF: nothing else is wrong", err)
	}
}

func TestKeysDecide(t *testing.T) {
	one, two, three := newECDSA(t), newRSA(t, 2048), newECDSA(t)
	spec := rootfs([]byte("x"))
	plain := write(t, spec)
	spec.Signer = two.signer(t)
	signed := write(t, spec)
	keys := func(pairs ...keyPair) (keys []artifact.Verifier) {
		for _, p := range pairs {
			keys = append(keys, p.verifier(t))
		}
		return keys
	}
	tests := []struct {
		name string
		b    []byte
		opts artifact.ReaderOptions
		want error
	}{
		{"no key", signed, artifact.ReaderOptions{}, artifact.ErrNoKey},
		{"no key, unsigned", plain, artifact.ReaderOptions{}, artifact.ErrNoKey},
		{"one of two keys", signed, artifact.ReaderOptions{Keys: keys(one, two)}, nil},
		{"no key that fits", signed, artifact.ReaderOptions{Keys: keys(one, three)}, artifact.ErrSignature},
		{"no key that fits, unsigned allowed", signed, artifact.ReaderOptions{Keys: keys(one), AllowUnsigned: true}, artifact.ErrSignature},
		{"not signed", plain, artifact.ReaderOptions{Keys: keys(two)}, artifact.ErrUnsigned},
		{"not signed, allowed, but a key", plain, artifact.ReaderOptions{Keys: keys(two), AllowUnsigned: true}, artifact.ErrUnsigned},
		{"not signed, allowed", plain, unsigned, nil},
		{"signed, not verified", signed, unsigned, nil},
	}
	for _, tt := range tests {
		h, err := artifact.Verify(bytes.NewReader(tt.b), tt.opts)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: Verify() = %v, want %v", tt.name, err, tt.want)
		}
		if err == nil && h.Verified != (len(tt.opts.Keys) > 0) {
			t.Errorf("%s: verified is %v", tt.name, h.Verified)
		}
	}
}

// Close in the middle leaves nothing running.
func TestCloseEndsReadAhead(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, c := range compressions {
		spec := rootfs(bytes.Repeat(noise(70_001), 300))
		spec.Compression = c
		a, err := artifact.NewReader(bytes.NewReader(write(t, spec)), artifact.ReaderOptions{AllowUnsigned: true, ReadAhead: true})
		check(t, err)
		f, err := a.Next()
		check(t, err)
		_, err = io.ReadFull(f, make([]byte, 1000))
		check(t, err)
		check(t, a.Close())
		check(t, a.Close())
		if _, err := a.Next(); err == nil || err == io.EOF {
			t.Errorf("%s: Next() after Close = %v", c, err)
		}
	}
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// Memory does not grow with the payload.
func TestMemory(t *testing.T) {
	const size = 256 << 20
	zeros := artifact.Source{Name: "rootfs.ext4", Size: size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(zeroReader{}, size)), nil
	}}
	for _, c := range []artifact.Compression{artifact.Gzip, artifact.Zstd} {
		spec := rootfs(nil)
		spec.Files, spec.Compression = []artifact.Source{zeros}, c
		whole := write(t, spec)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := artifact.Verify(bytes.NewReader(whole), unsigned)
		check(t, err)
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 48 {
			t.Errorf("%s: reading %d MiB allocates %d MiB", c, size>>20, got)
		}
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// What a device may lean on in error messages: the rule and the place.
func TestRuleErrorText(t *testing.T) {
	err := &artifact.RuleError{Rule: artifact.RuleOrder, Where: "header.tar/header-info", Detail: "out of order"}
	if got := err.Error(); !strings.Contains(got, "order") || !strings.HasPrefix(got, "header.tar/header-info: ") {
		t.Errorf("Error() = %q", got)
	}
}
