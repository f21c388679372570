package artifact_test

import (
	"archive/tar"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
)

// A hostile artifact breaks one rule. With keys "", it is read unsigned.
type hostile struct {
	name   string
	rule   artifact.Rule
	where  string
	change func(*forgery)
	keys   string // names in testdata/keys, or "none" for a reader that has none
	limits string // such as payload=1024
}

func hostiles(t testing.TB) []hostile {
	ec, other := key(t, "ec").signer(t), key(t, "other").signer(t)
	return slices.Concat(hostileOuter(), hostileManifest(), hostileSignatures(ec, other),
		hostileHeaders(), hostileJSON(), hostilePayloads(), hostileStreams())
}

func hostileOuter() []hostile {
	return []hostile{
		{name: "manifest before version", rule: "order", where: "manifest", change: func(f *forgery) { f.outer = swap(0, 1) }},
		{name: "header before manifest", rule: "order", where: "header.tar", change: func(f *forgery) { f.outer = swap(1, 2) }},
		{name: "payload before header", rule: "order", where: "data/0000.tar", change: func(f *forgery) { f.outer = swap(2, 3) }},
		{name: "signature after header", rule: "order", where: "manifest.sig", change: func(f *forgery) { f.outer = insert(3, entry{name: "manifest.sig", body: "AAAA"}) }},
		{name: "unknown entry", rule: "unknown", where: "README", change: func(f *forgery) { f.outer = insert(2, entry{name: "README"}) }},
		{name: "unknown entry at the end", rule: "unknown", where: "README", change: func(f *forgery) { f.outer = insert(4, entry{name: "README"}) }},
		{name: "path that only cleans to version", rule: "unknown", where: "./version", change: func(f *forgery) { f.outer = rename(0, "./version") }},
		{name: "payload outside its folder", rule: "unknown", where: "data/../data/0000.tar", change: func(f *forgery) { f.outer = rename(3, "data/../data/0000.tar") }},
		{name: "augmented", rule: "unknown", where: "manifest-augment", change: func(f *forgery) { f.outer = insert(2, entry{name: "manifest-augment"}) }},
		{name: "version twice", rule: "duplicate", where: "version", change: func(f *forgery) { f.outer = again(0) }},
		{name: "manifest twice", rule: "duplicate", where: "manifest", change: func(f *forgery) { f.outer = again(1) }},
		{name: "payload twice", rule: "duplicate", where: "data/0000.tar", change: func(f *forgery) { f.outer = again(3) }},
		{name: "no manifest", rule: "missing", where: "manifest", change: func(f *forgery) { f.outer = keep(1) }},
		{name: "no header", rule: "missing", where: "header.tar", change: func(f *forgery) { f.outer = keep(2) }},
		{name: "no payload", rule: "missing", where: "data/0000.tar", change: func(f *forgery) { f.outer = keep(3) }},
		{name: "second payload", rule: "two-payloads", where: "data/0001.tar", change: func(f *forgery) { f.outer = insert(4, entry{name: "data/0001.tar"}) }},
		{name: "symbolic link", rule: "tar", where: "manifest", change: func(f *forgery) { f.outer = insert(1, entry{name: "manifest", kind: tar.TypeSymlink}) }},
		{name: "hard link", rule: "tar", where: "manifest", change: func(f *forgery) { f.outer = insert(1, entry{name: "manifest", kind: tar.TypeLink}) }},
		{name: "folder", rule: "tar", where: "data/", change: func(f *forgery) { f.outer = insert(3, entry{name: "data/", kind: tar.TypeDir}) }},
		{name: "no tar", rule: "tar", where: "artifact", change: func(f *forgery) { f.raw = func([]byte) []byte { return []byte(strings.Repeat("x", 4096)) } }},
		{name: "trailing bytes", rule: "trailing", where: "artifact", change: func(f *forgery) { f.tail = "x" }},
		{name: "second artifact behind the first", rule: "trailing", where: "artifact", change: func(f *forgery) { f.tail = string(forge().bytes()) }},
		{name: "endless zeros", rule: "trailing", where: "artifact", change: func(f *forgery) { f.tail = strings.Repeat("\x00", 65<<10) }},
		{name: "no end of the tar", rule: "truncated", where: "artifact", change: func(f *forgery) { f.cut = 1024 }},
		{name: "half an end of the tar", rule: "truncated", where: "artifact", change: func(f *forgery) { f.cut = 512 }},
		{name: "cut in the payload", rule: "truncated", where: "data/0000.tar", change: func(f *forgery) { f.cut = 1024 + 700 }},
		{name: "version 1", rule: "version", where: "version", change: func(f *forgery) { f.version = `{"format":"mender","version":1}` }},
		{name: "version 4", rule: "version", where: "version", change: func(f *forgery) { f.version = `{"format":"mender","version":4}` }},
		{name: "version 3.0", rule: "version", where: "version", change: func(f *forgery) { f.version = `{"format":"mender","version":3.0}` }},
		{name: "other format", rule: "version", where: "version", change: func(f *forgery) { f.version = `{"format":"render","version":3}` }},
		{name: "long version", rule: "size", where: "version", change: func(f *forgery) { f.version += strings.Repeat(" ", 1024) }},
	}
}

func hostileManifest() []hostile {
	lines := func(change func([]string) []string) func(*forgery) {
		return func(f *forgery) { f.lines = change }
	}
	add := func(l string) func(*forgery) {
		return lines(func(ls []string) []string { return append(ls, l) })
	}
	sum := strings.Repeat("0", 64)
	return []hostile{
		{name: "unvisited line", rule: "unvisited", where: "manifest", change: add(sum + "  data/0000/gone")},
		{name: "line for a second payload", rule: "two-payloads", where: "manifest", change: add(sum + "  data/0001/x")},
		{name: "line that names nothing", rule: "unknown", where: "manifest", change: add(sum + "  etc/passwd")},
		{name: "line with parent folder", rule: "name", where: "manifest", change: add(sum + "  data/0000/..")},
		{name: "line with path", rule: "name", where: "manifest", change: add(sum + "  data/0000/../../etc/passwd")},
		{name: "line with long name", rule: "name", where: "manifest", change: add(sum + "  data/0000/" + strings.Repeat("x", 91))},
		{name: "line with blank in name", rule: "name", where: "manifest", change: add(sum + "  data/0000/a b")},
		{name: "line with one space", rule: "manifest", where: "manifest", change: add(sum + " data/0000/x")},
		{name: "line with capital sum", rule: "manifest", where: "manifest", change: add(strings.Repeat("A", 64) + "  data/0000/x")},
		{name: "line with short sum", rule: "manifest", where: "manifest", change: add(sum[1:] + "  data/0000/x")},
		{name: "empty line", rule: "manifest", where: "manifest", change: add("")},
		{name: "carriage returns", rule: "manifest", where: "manifest", change: lines(func(ls []string) []string { ls[0] = "\r"; return ls })},
		{name: "line twice", rule: "duplicate", where: "manifest", change: lines(func(ls []string) []string { return append(ls, ls[0]) })},
		{name: "same name with another sum", rule: "duplicate", where: "manifest", change: add(sum + "  version")},
		{name: "version not in manifest", rule: "unknown", where: "version", change: lines(func(ls []string) []string { return ls[:3] })},
		{name: "header not in manifest", rule: "unknown", where: "header.tar", change: lines(func(ls []string) []string { return slices.Delete(ls, 2, 3) })},
		{name: "file not in manifest", rule: "unknown", where: "data/0000.tar/b.txt", change: lines(func(ls []string) []string { return slices.Delete(ls, 1, 2) })},
		{name: "wrong sum of version", rule: "checksum", where: "version", change: lines(spoil(3))},
		{name: "wrong sum of header", rule: "checksum", where: "header.tar", change: lines(spoil(2))},
		{name: "wrong sum of first file", rule: "checksum", where: "data/0000.tar/a.txt", change: lines(spoil(0))},
		{name: "wrong sum of last file", rule: "checksum", where: "data/0000.tar/b.txt", change: lines(spoil(1))},
		{name: "long manifest", rule: "size", where: "manifest", limits: "manifest=100", change: func(*forgery) {}},
		{name: "many files", rule: "size", where: "manifest", limits: "files=1", change: func(*forgery) {}},
	}
}

func hostileSignatures(ec, other artifact.Signer) []hostile {
	sig := func(change func(string) string) func(*forgery) {
		return func(f *forgery) {
			f.signer = ec
			f.outer = func(es []entry) []entry { es[2].body = change(es[2].body); return es }
		}
	}
	return []hostile{
		{name: "no key", rule: "no-key", where: "manifest.sig", keys: "none", change: func(f *forgery) { f.signer = ec }},
		{name: "no key, unsigned", rule: "no-key", where: "manifest.sig", keys: "none", change: func(f *forgery) {}},
		{name: "signature stripped", rule: "unsigned", where: "manifest.sig", keys: "ec", change: func(f *forgery) {}},
		{name: "signed by a stranger", rule: "signature", where: "manifest.sig", keys: "ec,rsa", change: func(f *forgery) { f.signer = other }},
		{name: "signature of another manifest", rule: "signature", where: "manifest.sig", keys: "ec", change: func(f *forgery) {
			f.signer = ec
			f.outer = func(es []entry) []entry {
				es[1].body = strings.ToUpper(es[1].body[:1]) + es[1].body[1:] + "\n"
				return es
			}
		}},
		{name: "empty signature", rule: "signature", where: "manifest.sig", keys: "ec", change: sig(func(string) string { return "" })},
		{name: "zero signature", rule: "signature", where: "manifest.sig", keys: "ec", change: sig(func(string) string { return base64.StdEncoding.EncodeToString(make([]byte, 64)) })},
		{name: "zero signature in DER", rule: "signature", where: "manifest.sig", keys: "ec", change: sig(func(string) string { return base64.StdEncoding.EncodeToString([]byte{0x30, 6, 2, 1, 0, 2, 1, 0}) })},
		{name: "signature with a byte more", rule: "signature", where: "manifest.sig", keys: "ec", change: sig(func(s string) string {
			raw, _ := base64.StdEncoding.DecodeString(s)
			return base64.StdEncoding.EncodeToString(append(raw, 0))
		})},
		{name: "signature not base64", rule: "signature", where: "manifest.sig", keys: "ec", change: sig(func(s string) string { return "!" + s[1:] })},
		{name: "signature in two lines", rule: "signature", where: "manifest.sig", keys: "ec", change: sig(func(s string) string { return s[:44] + "\n" + s[44:] })},
		{name: "long signature", rule: "size", where: "manifest.sig", keys: "ec", change: sig(func(s string) string { return s + strings.Repeat("A", 4096) })},
		{name: "two signatures", rule: "duplicate", where: "manifest.sig", keys: "ec", change: func(f *forgery) {
			f.signer = ec
			f.outer = func(es []entry) []entry { return slices.Insert(es, 3, es[2]) }
		}},
	}
}

func hostileHeaders() []hostile {
	add := func(i int, e entry) func(*forgery) {
		return func(f *forgery) { f.header = slices.Insert(f.header, i, e) }
	}
	script := func(name string) func(*forgery) { return add(1, entry{name: "scripts/" + name}) }
	at := func(name string) string { return "header.tar/" + name }
	return []hostile{
		{name: "scripts before header-info", rule: "order", where: at("scripts/ArtifactInstall_Enter_00"), change: func(f *forgery) { f.header = swap(0, 1)(f.header) }},
		{name: "script after type-info", rule: "order", where: at("scripts/ArtifactInstall_Enter_00"), change: func(f *forgery) { f.header = swap(1, 2)(f.header) }},
		{name: "meta-data before type-info", rule: "order", where: at("headers/0000/type-info"), change: func(f *forgery) { f.header = swap(2, 3)(f.header) }},
		{name: "unknown header entry", rule: "unknown", where: at("headers/0000/evil"), change: add(4, entry{name: "headers/0000/evil"})},
		{name: "files of version 2 in version 3", rule: "unknown", where: at("headers/0000/files"), change: add(2, entry{name: "headers/0000/files", body: `{"files":[]}`})},
		{name: "header of a second payload", rule: "two-payloads", where: at("headers/0001/type-info"), change: add(4, entry{name: "headers/0001/type-info", body: typeInfo})},
		{name: "header-info twice", rule: "duplicate", where: at("header-info"), change: add(1, entry{name: "header-info", body: headerInfo})},
		{name: "script twice", rule: "duplicate", where: at("scripts/ArtifactInstall_Enter_00"), change: script("ArtifactInstall_Enter_00")},
		{name: "no header-info", rule: "missing", where: at("header-info"), change: func(f *forgery) { f.header = nil }},
		{name: "no type-info", rule: "missing", where: at("headers/0000/type-info"), change: func(f *forgery) { f.drop("headers/0000/type-info"); f.drop("headers/0000/meta-data") }},
		{name: "script in parent folder", rule: "script", where: at("scripts/../ArtifactInstall_Enter_00"), change: script("../ArtifactInstall_Enter_00")},
		{name: "script with path at its end", rule: "script", where: at("scripts/ArtifactInstall_Enter_00_/../../../etc/cron.d/x"), change: script("ArtifactInstall_Enter_00_/../../../etc/cron.d/x")},
		{name: "script of a state on the device", rule: "script", where: at("scripts/Idle_Enter_00"), change: script("Idle_Enter_00")},
		{name: "script with prefix", rule: "script", where: at("scripts/xArtifactInstall_Enter_00"), change: script("xArtifactInstall_Enter_00")},
		{name: "script with unknown action", rule: "script", where: at("scripts/ArtifactInstall_Run_00"), change: script("ArtifactInstall_Run_00")},
		{name: "script with three digits", rule: "script", where: at("scripts/ArtifactInstall_Enter_000"), change: script("ArtifactInstall_Enter_000")},
		{name: "link in the header", rule: "tar", where: at("scripts/ArtifactInstall_Enter_01"), change: add(1, entry{name: "scripts/ArtifactInstall_Enter_01", kind: tar.TypeSymlink})},
		{name: "many scripts", rule: "size", where: at("scripts/ArtifactInstall_Enter_00"), limits: "scripts=1", change: script("ArtifactCommit_Enter_00")},
		{name: "large header", rule: "size", where: "header.tar", limits: "header=1024", change: func(*forgery) {}},
		{name: "header bomb", rule: "size", where: "header.tar.gz", change: func(f *forgery) {
			f.gzip()
			zeros := strings.Repeat("\x00", 20<<20)
			f.header[1].body = zeros
			f.header = slices.Insert(f.header, 1, entry{name: "scripts/ArtifactCommit_Enter_00", body: zeros})
		}},
		{name: "huge script", rule: "size", where: "header.tar.gz/scripts/ArtifactInstall_Enter_00", change: func(f *forgery) {
			f.gzip()
			f.header[1].body = strings.Repeat("\x00", 33<<20)
		}},
		{name: "large header-info", rule: "size", where: "header.tar.gz/header-info", change: func(f *forgery) { f.gzip().header[0].body += strings.Repeat(" ", 1<<20) }},
		{name: "large meta-data", rule: "size", where: "header.tar.gz/headers/0000/meta-data", change: func(f *forgery) { f.gzip().header[3].body += strings.Repeat(" ", 1<<20) }},
		{name: "trailing bytes in header", rule: "trailing", where: "header.tar", change: func(f *forgery) { f.pack = func(b []byte) []byte { return append(b, 'x') } }},
		{name: "header cut", rule: "truncated", where: "header.tar", change: func(f *forgery) { f.pack = func(b []byte) []byte { return b[:len(b)-1024] } }},
	}
}

// spoil gives line i the sum of something else.
func spoil(i int) func([]string) []string {
	return func(ls []string) []string {
		_, name, _ := strings.Cut(ls[i], "  ")
		ls[i] = line(name, "something else")
		return ls
	}
}
