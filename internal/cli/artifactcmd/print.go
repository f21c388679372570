package artifactcmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// printReport prints what `artifact read` found. What an artifact says is
// quoted where a terminal could take it for a command.
func printReport(w io.Writer, r *report) {
	line := func(label string, value any) { fmt.Fprintf(w, "%-18s %s\n", label, plain(fmt.Sprint(value))) }
	line("name", r.Name)
	line("format", fmt.Sprintf("mender, version %d", r.Version))
	line("signature", signatureOf(&r.Header))
	line("device types", strings.Join(r.DeviceTypes, ", "))
	if r.PayloadType == "" {
		line("payload type", "none (bootstrap)")
	} else {
		line("payload type", r.PayloadType)
	}
	if key, floor, ok, err := r.SecurityVersion(); err != nil {
		line("security version", err)
	} else if ok {
		line("security version", fmt.Sprintf("%d (%s)", floor, key))
	}
	printMap(w, "provides", r.Provides)
	printMap(w, "depends", joined(r.Depends))
	printClears(w, r)
	for _, s := range r.Scripts {
		line("script", s.Name)
	}
	if len(r.MetaData) > 0 {
		line("meta-data", compact(r.MetaData))
	}
	for _, f := range r.Files {
		fmt.Fprintf(w, "%-18s %s\n%-18s %d bytes, sha256 %v\n", "file", plain(f.Name), "", f.Size, f.SHA256)
	}
}

func printMap(w io.Writer, label string, m map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(w, "%-18s %s: %s\n", label, plain(key), plain(m[key]))
		label = ""
	}
}

func joined(m map[string][]string) map[string]string {
	flat := map[string]string{}
	for key, values := range m {
		flat[key] = strings.Join(values, " | ")
	}
	return flat
}

func printClears(w io.Writer, r *report) {
	text := "everything"
	if r.ClearsSet {
		text = strings.Join(r.Clears, ", ")
	}
	if text == "" {
		text = "nothing"
	}
	fmt.Fprintf(w, "%-18s %s\n", "clears", plain(text))
}

// plain returns s, with what does not print as an escape.
func plain(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}

func compact(b []byte) string {
	var out bytes.Buffer
	if json.Compact(&out, b) != nil {
		return string(b)
	}
	return out.String()
}
