package artifact_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
)

// An entry is one file of a tar, or anything else with its type.
type entry struct {
	name string
	body string
	kind byte // 0 is a plain file
	pax  map[string]string
}

// A forgery is an artifact made by hand, valid until a test changes a part.
// Sums and signature are made after the change, so that each test breaks one
// rule only.
type forgery struct {
	version  string
	header   []entry
	data     []entry
	suffix   string
	pack     func([]byte) []byte
	packData func([]byte) []byte // nil means pack
	dataTail string              // after the inner tar
	tail     string              // after the outer tar
	lines    func([]string) []string
	outer    func([]entry) []entry
	signer   artifact.Signer
	cut      int                 // bytes to leave off
	raw      func([]byte) []byte // last change of all
}

func forge() *forgery {
	return &forgery{
		version: `{"format":"mender","version":3}`,
		header: []entry{
			{name: "header-info", body: headerInfo},
			{name: "scripts/ArtifactInstall_Enter_00", body: "#!/bin/sh\n"},
			{name: "headers/0000/type-info", body: typeInfo},
			{name: "headers/0000/meta-data", body: `{"n":1}`},
		},
		data:   []entry{{name: "a.txt", body: "alpha"}, {name: "b.txt", body: "beta"}},
		pack:   func(b []byte) []byte { return b },
		suffix: "",
	}
}

const (
	headerInfo = `{"payloads":[{"type":"single-file"}],"artifact_provides":{"artifact_name":"n"},"artifact_depends":{"device_type":["d"]}}`
	typeInfo   = `{"type":"single-file","artifact_provides":{"k":"v"},"clears_artifact_provides":["k"]}`
)

func (f *forgery) gzip() *forgery {
	f.pack, f.suffix = gzipped, ".gz"
	return f
}

// set replaces the body of a header entry.
func (f *forgery) set(name, body string) {
	for i := range f.header {
		if f.header[i].name == name {
			f.header[i].body = body
		}
	}
}

func (f *forgery) drop(name string) {
	f.header = slices.DeleteFunc(f.header, func(e entry) bool { return e.name == name })
}

func (f *forgery) bytes() []byte {
	if f.packData == nil {
		f.packData = f.pack
	}
	head := string(f.pack(tarOf(f.header)))
	data := string(f.packData(append(tarOf(f.data), f.dataTail...)))
	lines := []string{}
	for _, e := range f.data {
		lines = append(lines, line("data/0000/"+e.name, e.body))
	}
	lines = append(lines, line("header.tar"+f.suffix, head), line("version", f.version))
	if f.lines != nil {
		lines = f.lines(lines)
	}
	manifest := strings.Join(lines, "\n") + "\n"
	outer := []entry{{name: "version", body: f.version}, {name: "manifest", body: manifest}}
	if f.signer != nil {
		outer = append(outer, entry{name: "manifest.sig", body: signed(f.signer, manifest)})
	}
	outer = append(outer, entry{name: "header.tar" + f.suffix, body: head}, entry{name: "data/0000.tar" + f.suffix, body: data})
	if f.outer != nil {
		outer = f.outer(outer)
	}
	b := append(tarOf(outer), f.tail...)
	b = b[:len(b)-f.cut]
	if f.raw != nil {
		b = f.raw(b)
	}
	return b
}

func line(name, body string) string {
	return fmt.Sprintf("%x  %s", sha256.Sum256([]byte(body)), name)
}

func signed(s artifact.Signer, manifest string) string {
	sig, err := s.Sign([]byte(manifest))
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(sig)
}

func tarOf(entries []entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Size: int64(len(e.body)), Mode: 0o600, Typeflag: tar.TypeReg, PAXRecords: e.pax}
		if e.kind != 0 {
			h.Typeflag = e.kind
			h.Linkname = "version"
			h.Size = 0
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if h.Size > 0 {
			w.Write([]byte(e.body))
		}
	}
	w.Close()
	return b.Bytes()
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// key reads one of the keys that the vectors are made with.
func key(t testing.TB, name string) keyPair {
	t.Helper()
	private, err := os.ReadFile("testdata/keys/" + name + ".pem")
	check(t, err)
	public, err := os.ReadFile("testdata/keys/" + name + ".pub")
	check(t, err)
	return keyPair{Traditional: private, Public: public}
}
