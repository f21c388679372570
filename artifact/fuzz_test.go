package artifact_test

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"reflect"
	"testing"
	"testing/iotest"

	"github.com/moult-ota/moult/artifact"
)

// The parts of an artifact that FuzzReader replaces. Sums are made afterwards,
// so that the fuzzer gets past them.
var fuzzParts = []func(*forgery, []byte){
	func(f *forgery, b []byte) { f.raw = func([]byte) []byte { return b } },
	func(f *forgery, b []byte) { f.version = string(b) },
	func(f *forgery, b []byte) {
		f.outer = func(es []entry) []entry { es[1].body = string(b); return es }
	},
	func(f *forgery, b []byte) { f.outer = insert(2, entry{name: "manifest.sig", body: string(b)}) },
	func(f *forgery, b []byte) { f.header[0].body = string(b) },
	func(f *forgery, b []byte) { f.header[2].body = string(b) },
	func(f *forgery, b []byte) { f.header[3].body = string(b) },
	func(f *forgery, b []byte) { *f = *forgeVersion2(); f.header[0].body = string(b) },
	fuzzStream("", true), fuzzStream(".gz", true), fuzzStream(".xz", true), fuzzStream(".zst", true),
	fuzzStream("", false), fuzzStream(".gz", false), fuzzStream(".xz", false), fuzzStream(".zst", false),
}

// fuzzStream replaces the stored bytes of the header or of the payload.
func fuzzStream(suffix string, header bool) func(*forgery, []byte) {
	return func(f *forgery, b []byte) {
		stored := func([]byte) []byte { return b }
		if header {
			f.pack, f.packData, f.suffix = stored, func(b []byte) []byte { return b }, suffix
			f.outer = rename(3, "data/0000.tar")
			return
		}
		f.packData, f.outer = stored, rename(3, "data/0000.tar"+suffix)
	}
}

// Whatever comes in: no panic, no unbounded work, an error of the package, the
// same answer for any way the stream is cut; and what is accepted can be signed
// and says the same then.
func FuzzReader(f *testing.F) {
	addSeeds(f)
	pair := key(f, "ec")
	signer, verifier := pair.signer(f), pair.verifier(f)
	opts := artifact.ReaderOptions{AllowUnsigned: true, Limits: artifact.Limits{
		Manifest: 1 << 16, Header: 1 << 18, HeaderUnpacked: 1 << 19, Payload: 1 << 20, Window: 8 << 20}}
	f.Fuzz(func(t *testing.T, part byte, b []byte) {
		forged := forge()
		fuzzParts[int(part)%len(fuzzParts)](forged, b)
		whole := forged.bytes()
		got, err := readAll(bytes.NewReader(whole), opts)
		again, errAgain := readAll(iotest.HalfReader(bytes.NewReader(whole)), opts)
		if (err == nil) != (errAgain == nil) || !reflect.DeepEqual(got, again) {
			t.Fatalf("read %v, cut differently %v", err, errAgain)
		}
		if err != nil {
			checkClass(t, err)
			return
		}
		var signed bytes.Buffer
		check(t, artifact.Sign(&signed, bytes.NewReader(whole), signer))
		opts := opts
		opts.Keys = []artifact.Verifier{verifier}
		resigned, err := readAll(&signed, opts)
		check(t, err)
		resigned.Header.Signed, resigned.Header.Verified = got.Header.Signed, false
		if !reflect.DeepEqual(resigned, got) {
			t.Fatalf("after Sign: %+v, want %+v", resigned, got)
		}
	})
}

func checkClass(t *testing.T, err error) {
	t.Helper()
	for _, class := range []error{artifact.ErrFormat, artifact.ErrTooLarge, artifact.ErrChecksum, artifact.ErrSignature} {
		if errors.Is(err, class) {
			return
		}
	}
	t.Fatalf("%v is of no class", err)
}

func addSeeds(f *testing.F) {
	paths, err := filepath.Glob("testdata/vectors/*.mender")
	check(f, err)
	for _, path := range paths {
		if v := readVector(f, path); len(v.body) < 16<<10 {
			f.Add(byte(0), v.body)
		}
	}
	whole := forge()
	head, data := tarOf(whole.header), tarOf(whole.data)
	f.Add(byte(1), []byte(whole.version))
	f.Add(byte(2), []byte(line("version", whole.version)))
	f.Add(byte(3), []byte("AAAA"))
	f.Add(byte(4), []byte(headerInfo))
	f.Add(byte(5), []byte(typeInfo))
	f.Add(byte(6), []byte(`{"a":[1,"b",{"c":null}]}`))
	f.Add(byte(7), []byte(forgeVersion2().header[0].body))
	for i, pack := range []func([]byte) []byte{bytes.Clone, gzipped, xzipped, zstdPacked} {
		f.Add(byte(8+i), pack(head))
		f.Add(byte(12+i), pack(data))
	}
}

func zstdPacked(b []byte) []byte { return zstdWindow(b, 1<<20) }

var _ io.Reader = (*artifact.File)(nil)
