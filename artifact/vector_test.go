package artifact_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
)

var update = flag.Bool("update", false, "write the vectors that are made from code")

// A vector is an artifact in testdata/vectors with a .txt beside it:
//
//	expect: good, or the rule that it breaks
//	where:  path inside the artifact, when it breaks one
//	keys:   names in testdata/keys; none; or nothing, to read it unsigned
//	limits: such as payload=1024
//	name, type, file: what a good one holds; a file as <sha256> <name>
type vector struct {
	fields map[string][]string
	body   []byte
}

func (v vector) one(field string) string { return strings.Join(v.fields[field], "\n") }

func (v vector) options(t testing.TB) artifact.ReaderOptions {
	t.Helper()
	opts := artifact.ReaderOptions{Limits: limitsOf(t, v.one("limits"))}
	switch keys := v.one("keys"); keys {
	case "none":
	case "":
		opts.AllowUnsigned = true
	default:
		for name := range strings.SplitSeq(keys, ",") {
			opts.Keys = append(opts.Keys, key(t, name).verifier(t))
		}
	}
	return opts
}

func limitsOf(t testing.TB, text string) (l artifact.Limits) {
	t.Helper()
	name, digits, ok := strings.Cut(text, "=")
	if !ok {
		return l
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	check(t, err)
	switch name {
	case "manifest":
		l.Manifest = n
	case "header":
		l.Header = n
	case "payload":
		l.Payload = n
	case "files":
		l.Files = int(n)
	case "scripts":
		l.Scripts = int(n)
	default:
		t.Fatalf("unknown limit %s", name)
	}
	return l
}

func readVector(t testing.TB, path string) vector {
	t.Helper()
	body, err := os.ReadFile(path)
	check(t, err)
	text, err := os.ReadFile(strings.TrimSuffix(path, ".mender") + ".txt")
	check(t, err)
	v := vector{fields: map[string][]string{}, body: body}
	for l := range strings.Lines(string(text)) {
		field, value, ok := strings.Cut(strings.TrimSuffix(l, "\n"), ": ")
		if !ok {
			t.Fatalf("%s: line %q is not field: value", path, l)
		}
		v.fields[field] = append(v.fields[field], value)
	}
	return v
}

func TestVectors(t *testing.T) {
	paths, err := filepath.Glob("testdata/vectors/*.mender")
	check(t, err)
	if len(paths) < 100 {
		t.Fatalf("%d vectors in testdata/vectors, want 100 or more", len(paths))
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".mender"), func(t *testing.T) {
			v := readVector(t, path)
			for _, ahead := range []bool{false, true} {
				opts := v.options(t)
				opts.ReadAhead = ahead
				got, err := readAll(bytes.NewReader(v.body), opts)
				if v.one("expect") == "good" {
					check(t, err)
					checkGood(t, got, v)
					continue
				}
				checkBroken(t, err, v.one("expect"), v.one("where"))
				if _, err := artifact.Verify(bytes.NewReader(v.body), opts); err == nil {
					t.Error("Verify() accepts it")
				}
			}
		})
	}
}

func checkBroken(t *testing.T, err error, rule, where string) {
	t.Helper()
	var broken *artifact.RuleError
	if !errors.As(err, &broken) {
		t.Fatalf("read: %v, want rule %s broken at %s", err, rule, where)
	}
	if string(broken.Rule) != rule || broken.Where != where {
		t.Errorf("read: %v, want rule %s broken at %s", err, rule, where)
	}
}

func checkGood(t *testing.T, got content, v vector) {
	t.Helper()
	if got.Header.Name != v.one("name") || got.Header.PayloadType != v.one("type") {
		t.Errorf("read: name %q, type %q, want %q, %q", got.Header.Name, got.Header.PayloadType, v.one("name"), v.one("type"))
	}
	files := []string{}
	for name, body := range got.Files {
		files = append(files, strings.Replace(line(name, body), "  ", " ", 1))
	}
	slices.Sort(files)
	want := slices.Sorted(slices.Values(v.fields["file"]))
	if !slices.Equal(files, want) {
		t.Errorf("read: files %q, want %q", files, want)
	}
}

// The hostile vectors are those of the table, and each rule has one.
func TestVectorsGolden(t *testing.T) {
	rules := map[artifact.Rule]bool{}
	for _, h := range hostiles(t) {
		rules[h.rule] = true
		f := forge()
		h.change(f)
		keys := h.keys
		text := fmt.Sprintf("expect: %s\nwhere: %s\nkeys: %s\nlimits: %s\n", h.rule, h.where, keys, h.limits)
		text = regexp.MustCompile(`(?m)^(keys|limits): \n`).ReplaceAllString(text, "")
		golden(t, h.name, f.bytes(), text)
	}
	source, err := os.ReadFile("errors.go")
	check(t, err)
	for _, m := range regexp.MustCompile(`Rule = "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
		if !rules[artifact.Rule(m[1])] {
			t.Errorf("rule %s has no vector", m[1])
		}
	}
}

func golden(t *testing.T, name string, body []byte, text string) {
	t.Helper()
	path := "testdata/vectors/" + strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9.]+`).ReplaceAllString(name, "-"))
	if *update {
		check(t, os.WriteFile(path+".mender", body, 0o644))
		check(t, os.WriteFile(path+".txt", []byte(text), 0o644))
	}
	got, err := os.ReadFile(path + ".mender")
	check(t, err)
	described, err := os.ReadFile(path + ".txt")
	check(t, err)
	if !bytes.Equal(got, body) || string(described) != text {
		t.Errorf("%s differs from its table; go test ./artifact -run Golden -args -update", path)
	}
}

// Good artifacts that mender-artifact does not make.
func TestGoodVectorsGolden(t *testing.T) {
	for name, change := range map[string]func(*forgery){
		"good: plain":       func(*forgery) {},
		"good: signed":      func(f *forgery) { f.signer = key(t, "ec").signer(t) },
		"good: version 2":   func(f *forgery) { *f = *forgeVersion2() },
		"good: zero padded": func(f *forgery) { f.tail = strings.Repeat("\x00", 8192) },
		"good: no last line feed": func(f *forgery) {
			f.outer = func(es []entry) []entry { es[1].body = strings.TrimSuffix(es[1].body, "\n"); return es }
		},
		"good: white space in version": func(f *forgery) { f.version = "{ \"version\": 3,\n \"format\": \"mender\" }\n" },
		"good: files in another order": func(f *forgery) {
			f.packData = func([]byte) []byte { return tarOf([]entry{f.data[1], f.data[0]}) }
		},
		"good: empty meta-data": func(f *forgery) { f.set("headers/0000/meta-data", "") },
		"good: no meta-data":    func(f *forgery) { f.drop("headers/0000/meta-data") },
		"good: no clears": func(f *forgery) {
			f.set("headers/0000/type-info", `{"type":"single-file","clears_artifact_provides":null}`)
		},
		"good: list to depend on": func(f *forgery) {
			f.set("headers/0000/type-info", `{"type":"single-file","artifact_depends":{"k":["a","b"],"l":"c"}}`)
		},
		"good: rootfs-image of old tools": func(f *forgery) {
			f.set("header-info", strings.Replace(headerInfo, "single-file", "rootfs-image", 1))
			f.set("headers/0000/type-info", `{"type":""}`)
		},
		"good: name beyond ASCII": func(f *forgery) { f.set("header-info", strings.Replace(headerInfo, `"n"`, `"größe 1"`, 1)) },
		"good: bootstrap": func(f *forgery) {
			f.set("header-info", strings.Replace(headerInfo, `"single-file"`, `null`, 1))
			f.set("headers/0000/type-info", `{"type":null,"artifact_provides":{"rootfs-image.version":"factory"}}`)
			f.drop("headers/0000/meta-data")
			f.data = nil
		},
	} {
		f := forge()
		change(f)
		body := f.bytes()
		keys := ""
		if f.signer != nil {
			keys = "keys: other,ec\n"
		}
		got, err := readAll(bytes.NewReader(body), unsigned)
		check(t, err)
		text := fmt.Sprintf("expect: good\n%sname: %s\ntype: %s\n", keys, got.Header.Name, got.Header.PayloadType)
		for _, e := range f.data {
			text += "file: " + strings.Replace(line(e.name, e.body), "  ", " ", 1) + "\n"
		}
		golden(t, name, body, text)
	}
}
