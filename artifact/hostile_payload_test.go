package artifact_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/moult-ota/moult/artifact"
	"github.com/ulikunitz/xz"
)

func hostileJSON() []hostile {
	info, kind := "header-info", "headers/0000/type-info"
	set := func(entry, old, new string) func(*forgery) {
		return func(f *forgery) {
			for i := range f.header {
				if f.header[i].name == entry {
					f.header[i].body = strings.Replace(f.header[i].body, old, new, 1)
				}
			}
		}
	}
	h := func(name string, rule artifact.Rule, in, old, new string) hostile {
		return hostile{name: name, rule: rule, where: "header.tar/" + in, change: set(in, old, new)}
	}
	return []hostile{
		{name: "unknown field of version", rule: "unknown", where: "version", change: func(f *forgery) { f.version = `{"format":"mender","version":3,"x":1}` }},
		{name: "version in capitals", rule: "unknown", where: "version", change: func(f *forgery) { f.version = `{"format":"mender","version":3,"Version":2}` }},
		{name: "version key twice", rule: "duplicate", where: "version", change: func(f *forgery) { f.version = `{"format":"mender","version":2,"version":3}` }},
		{name: "version with a tail", rule: "json", where: "version", change: func(f *forgery) { f.version += "{}" }},
		{name: "version no object", rule: "json", where: "version", change: func(f *forgery) { f.version = `[3]` }},
		h("unknown field of header-info", "unknown", info, `{"payloads"`, `{"x":1,"payloads"`),
		h("unknown field of artifact_depends", "unknown", info, `"device_type"`, `"device":"x","device_type"`),
		h("unknown field of type-info", "unknown", kind, `{"type"`, `{"x":1,"type"`),
		h("two names", "duplicate", info, `"artifact_name":"n"`, `"artifact_name":"n","artifact_name":"m"`),
		h("two device types lists", "duplicate", info, `"device_type":["d"]`, `"device_type":["d"],"device_type":["e"]`),
		h("name provided twice", "duplicate", kind, `"k":"v"`, `"artifact_name":"m"`),
		h("device type in type-info", "duplicate", kind, `"artifact_provides"`, `"artifact_depends":{"device_type":"e"},"artifact_provides"`),
		h("device type provided", "unknown", kind, `"k":"v"`, `"device_type":"e"`),
		h("two payloads in header-info", "two-payloads", info, `[{`, `[{"type":"x"},{`),
		h("no payload in header-info", "missing", info, `{"type":"single-file"}`, ``),
		h("no device type", "missing", info, `["d"]`, `[]`),
		h("device type no list", "json", info, `["d"]`, `"d"`),
		h("device type no string", "json", info, `["d"]`, `[1]`),
		h("device type null", "json", info, `["d"]`, `[null]`),
		h("payload no object", "json", info, `{"type":"single-file"}`, `"single-file"`),
		h("provide no string", "json", kind, `"v"`, `1`),
		h("provide null", "json", kind, `"v"`, `null`),
		h("depend no string", "json", kind, `"artifact_provides"`, `"artifact_depends":{"k":{}},"artifact_provides"`),
		h("clears no strings", "json", kind, `["k"]`, `[1]`),
		h("no name", "name", info, `"n"`, `""`),
		h("name of blanks", "name", info, `"n"`, `"  "`),
		h("long name", "name", info, `"n"`, `"`+strings.Repeat("n", 257)+`"`),
		h("name with a line feed", "name", info, `"n"`, `"n\nn"`),
		h("name with an escape", "name", info, `"n"`, `"n\u001b[2J"`),
		h("payload type with a path", "name", info, `"single-file"`, `"../../bin/sh"`),
		h("payload type empty", "name", info, `"single-file"`, `""`),
		h("types differ", "type", kind, `"single-file"`, `"rootfs-image"`),
		h("type empty, not rootfs-image", "type", kind, `"single-file"`, `""`),
		h("type null", "type", kind, `"single-file"`, `null`),
		h("files without a type", "type", info, `"type":"single-file"`, `"type":null`).also(set(kind, `"single-file"`, `null`)),
		h("empty type in a bootstrap artifact", "type", kind, `"single-file"`, `""`).also(set(info, `"single-file"`, `null`)).also(func(f *forgery) { f.data = nil }),
		h("not UTF-8", "json", info, `"n"`, "\"\xff\""),
		h("json cut", "json", info, `}}`, `}`),
		h("nested deep", "json", "headers/0000/meta-data", `1`, strings.Repeat("[", 40)+strings.Repeat("]", 40)),
		h("meta-data no object", "json", "headers/0000/meta-data", `{"n":1}`, `[]`),
		h("meta-data key twice", "duplicate", "headers/0000/meta-data", `{"n":1}`, `{"n":1,"n":2}`),
		{name: "version 2 lists other files", rule: "manifest", where: "header.tar/headers/0000/files", change: func(f *forgery) {
			*f = *forgeVersion2()
			f.set("headers/0000/files", `{"files":["a.txt","c.txt"]}`)
		}},
	}
}

func (h hostile) also(more func(*forgery)) hostile {
	first := h.change
	h.change = func(f *forgery) { first(f); more(f) }
	return h
}

func forgeVersion2() *forgery {
	f := forge()
	f.version = `{"format":"mender","version":2}`
	f.header = []entry{
		{name: "header-info", body: `{"artifact_name":"n","updates":[{"type":"rootfs-image"}],"device_types_compatible":["d"]}`},
		{name: "headers/0000/files", body: `{"files":["a.txt","b.txt"]}`},
		{name: "headers/0000/type-info", body: `{"type":"rootfs-image"}`},
		{name: "headers/0000/meta-data"},
		{name: "headers/0000/checksums/a.txt.sha256sum", body: "left over"},
	}
	return f
}

func hostilePayloads() []hostile {
	at := func(name string) string { return "data/0000.tar/" + name }
	// rename changes a name in the payload only, not in the manifest
	rename := func(name string) func(*forgery) {
		return func(f *forgery) {
			f.packData = func([]byte) []byte { return tarOf([]entry{{name: name, body: "alpha"}, f.data[1]}) }
		}
	}
	return []hostile{
		{name: "file in parent folder", rule: "name", where: at("../a.txt"), change: rename("../a.txt")},
		{name: "file in a folder", rule: "name", where: at("x/a.txt"), change: rename("x/a.txt")},
		{name: "file at the root", rule: "name", where: at("/etc/passwd"), change: rename("/etc/passwd")},
		{name: "file named dot dot", rule: "name", where: at(".."), change: rename("..")},
		{name: "file with a long name", rule: "name", where: at(strings.Repeat("x", 91)), change: rename(strings.Repeat("x", 91))},
		{name: "file with control characters", rule: "name", where: at("a\x1b[2J"), change: rename("a\x1b[2J")},
		{name: "file twice", rule: "duplicate", where: at("a.txt"), change: func(f *forgery) {
			f.packData = func([]byte) []byte { return tarOf(append(slices.Clone(f.data), f.data[0])) }
		}},
		{name: "file missing", rule: "unvisited", where: "manifest", change: func(f *forgery) {
			f.packData = func([]byte) []byte { return tarOf(f.data[:1]) }
		}},
		{name: "folder in the payload", rule: "tar", where: at("d/"), change: func(f *forgery) {
			f.packData = func([]byte) []byte { return tarOf(append([]entry{{name: "d/", kind: tar.TypeDir}}, f.data...)) }
		}},
		{name: "link in the payload", rule: "tar", where: at("a.txt"), change: func(f *forgery) {
			f.packData = func([]byte) []byte { return tarOf([]entry{{name: "a.txt", kind: tar.TypeSymlink}, f.data[1]}) }
		}},
		{name: "sparse file", rule: "tar", where: at("a.txt"), change: func(f *forgery) {
			f.packData = func([]byte) []byte { return sparse() }
		}},
		{name: "trailing bytes in the payload", rule: "trailing", where: "data/0000.tar", change: func(f *forgery) { f.dataTail = "x" }},
		{name: "endless zeros in the payload", rule: "trailing", where: "data/0000.tar.gz", change: func(f *forgery) {
			f.gzip().dataTail = strings.Repeat("\x00", 65<<10)
		}},
		{name: "payload cut in its file", rule: "truncated", where: at("b.txt"), change: func(f *forgery) {
			f.packData = func(b []byte) []byte { return b[:len(b)-1024-510] }
		}},
		{name: "payload bomb", rule: "size", where: "data/0000.tar.gz", limits: "payload=1048576", change: func(f *forgery) {
			f.gzip().data[0].body = strings.Repeat("\x00", 2<<20)
		}},
	}
}

func hostileStreams() []hostile {
	packed := func(suffix string, pack func([]byte) []byte) func(*forgery) {
		return func(f *forgery) {
			f.gzip()
			f.packData = pack
			f.outer = rename(3, "data/0000.tar"+suffix)
		}
	}
	cut := func(n int) func([]byte) []byte {
		return func(b []byte) []byte { b = gzipped(b); return b[:len(b)-n] }
	}
	gz, xzip, zst := "data/0000.tar.gz", "data/0000.tar.xz", "data/0000.tar.zst"
	return []hostile{
		{name: "gzip cut", rule: "truncated", where: gz, change: packed(".gz", cut(20))},
		{name: "gzip without its sum", rule: "truncated", where: gz, change: packed(".gz", cut(8))},
		{name: "gzip with a wrong sum", rule: "compression", where: gz, change: packed(".gz", func(b []byte) []byte {
			b = gzipped(b)
			b[len(b)-8] ^= 1
			return b
		})},
		{name: "gzip with bytes behind it", rule: "compression", where: gz, change: packed(".gz", func(b []byte) []byte { return append(gzipped(b), "xxxxxxxxxx"...) })},
		{name: "no gzip", rule: "compression", where: gz, change: packed(".gz", func(b []byte) []byte { return b })},
		{name: "no xz", rule: "compression", where: xzip, change: packed(".xz", gzipped)},
		{name: "no zstd", rule: "compression", where: zst, change: packed(".zst", gzipped)},
		{name: "unknown compression", rule: "unknown", where: "data/0000.tar.bz2", change: packed(".bz2", gzipped)},
		{name: "empty zstd", rule: "truncated", where: zst, change: packed(".zst", func([]byte) []byte { return nil })},
		{name: "xz with a wrong check", rule: "compression", where: xzip, change: packed(".xz", func(b []byte) []byte {
			b = xzipped(b)
			index := (int(binary.LittleEndian.Uint32(b[len(b)-8:])) + 1) * 4
			b[len(b)-12-index-1] ^= 1
			return b
		})},
		{name: "xz cut", rule: "truncated", where: xzip, change: packed(".xz", func(b []byte) []byte { b = xzipped(b); return b[:len(b)-20] })},
		{name: "xz with bytes behind it", rule: "compression", where: xzip, change: packed(".xz", func(b []byte) []byte { return append(xzipped(b), 0) })},
		{name: "xz with a 4 GiB dictionary", rule: "size", where: xzip, change: packed(".xz", func([]byte) []byte { return hugeXZ() })},
		{name: "zstd with a 128 MiB window", rule: "size", where: zst, change: packed(".zst", func(b []byte) []byte { return zstdWindow(b, 128<<20) })},
		{name: "broken header stream", rule: "compression", where: "header.tar.gz", change: func(f *forgery) { f.gzip().pack = func(b []byte) []byte { return b } }},
	}
}

func xzipped(b []byte) []byte {
	var out bytes.Buffer
	w, err := xz.NewWriter(&out)
	if err != nil {
		panic(err)
	}
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zstdWindow(b []byte, window int) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithSingleSegment(false))
	if err != nil {
		panic(err)
	}
	w.Write(b)
	w.Flush() // or it would note that it is small
	w.Close()
	return out.Bytes()
}

// hugeXZ starts a block that asks for the largest dictionary.
func hugeXZ() []byte {
	b := []byte{0xfd, '7', 'z', 'X', 'Z', 0, 0, 4, 0xe6, 0xd6, 0xb4, 0x46}
	block := []byte{2, 0, 0x21, 1, 40, 0, 0, 0}
	return append(append(b, block...), crc(block)...)
}

func crc(b []byte) []byte { return binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)) }

// sparse is a tar with one file of PAX sparse format 0.1, most of it a hole.
// No writer makes one, so another vendor's records are renamed.
func sparse() []byte {
	b := tarOf([]entry{{name: "a.txt", body: "alpha", pax: map[string]string{
		"MNU.sparse.major": "0", "MNU.sparse.minor": "1", "MNU.sparse.name": "a.txt",
		"MNU.sparse.size": "1000000", "MNU.sparse.numblocks": "1", "MNU.sparse.map": "0,5",
	}}})
	return bytes.ReplaceAll(b, []byte("MNU.sparse"), []byte("GNU.sparse"))
}

func swap(i, j int) func([]entry) []entry {
	return func(es []entry) []entry { es[i], es[j] = es[j], es[i]; return es }
}

func insert(i int, e entry) func([]entry) []entry {
	return func(es []entry) []entry { return slices.Insert(es, i, e) }
}

func rename(i int, name string) func([]entry) []entry {
	return func(es []entry) []entry { es[i].name = name; return es }
}

// again repeats an entry at once.
func again(i int) func([]entry) []entry {
	return func(es []entry) []entry { return slices.Insert(es, i+1, es[i]) }
}

func keep(n int) func([]entry) []entry {
	return func(es []entry) []entry { return es[:n] }
}
