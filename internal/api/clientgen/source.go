// Package clientgen writes the Go client of the operator API from the API's
// own description. It knows the part of OpenAPI 3.1 that this API uses, and
// says so when it meets more.
package clientgen

import (
	"bytes"
	"fmt"
	"go/format"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Source returns the client's generated file: a type for every schema and a
// method for every operation. The same description gives the same bytes.
func Source(spec *huma.OpenAPI) ([]byte, error) {
	g := &generator{}
	g.line("// Code generated from internal/api/openapi.yaml; DO NOT EDIT. `make golden` writes it.\n")
	g.line("package client\n")
	g.line("import (\n\"context\"\n\"io\"\n\"net/http\"\n\"net/url\"\n\"time\"\n)\n")
	schemas := spec.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		g.schema(name, schemas[name])
	}
	for _, path := range slices.Sorted(maps.Keys(spec.Paths)) {
		g.path(path, spec.Paths[path])
	}
	if g.err != nil {
		return nil, fmt.Errorf("generate client: %w", g.err)
	}
	return format.Source(g.out.Bytes())
}

type generator struct {
	out bytes.Buffer
	err error // the first thing that it cannot say
}

func (g *generator) line(f string, args ...any) { fmt.Fprintf(&g.out, f+"\n", args...) }

func (g *generator) cannot(f string, args ...any) string {
	if g.err == nil {
		g.err = fmt.Errorf(f, args...)
	}
	return "any"
}

func (g *generator) schema(name string, s *huma.Schema) {
	if s.Type != huma.TypeObject {
		g.cannot("schema %s is a %s, not an object", name, s.Type)
		return
	}
	g.line("// %s is a schema of the API.", name)
	g.line("type %s struct {", name)
	for _, p := range slices.Sorted(maps.Keys(s.Properties)) {
		g.property(p, s.Properties[p], slices.Contains(s.Required, p))
	}
	g.line("}\n")
}

func (g *generator) property(name string, s *huma.Schema, required bool) {
	typ, tag := g.goType(s), name
	if !required {
		tag += ",omitempty"
		if typ == "time.Time" {
			typ = "*time.Time"
		}
	}
	doc := ""
	if s.Description != "" {
		doc = " // " + s.Description
	}
	g.line("%s %s `json:%q`%s", goName(name), typ, tag, doc)
}

func (g *generator) goType(s *huma.Schema) string {
	if s.Ref != "" {
		return s.Ref[strings.LastIndex(s.Ref, "/")+1:]
	}
	switch s.Type {
	case huma.TypeString:
		if s.Format == "date-time" {
			return "time.Time"
		}
		return "string"
	case huma.TypeInteger:
		return "int64"
	case huma.TypeBoolean:
		return "bool"
	case huma.TypeArray:
		return "[]" + g.goType(s.Items)
	case huma.TypeObject:
		if of, ok := s.AdditionalProperties.(*huma.Schema); ok {
			return "map[string]" + g.goType(of)
		}
		return g.cannot("an object without a name: %s", s.Description)
	case "":
		return "any"
	}
	return g.cannot("schema type %q", s.Type)
}

// initialisms are words that Go writes in capitals.
var initialisms = map[string]string{"id": "ID", "ttl": "TTL", "sha256": "SHA256", "pem": "PEM"}

// goName turns created_at, list-devices and If-Match into Go names.
func goName(name string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '_' || r == '-' }) {
		if up, ok := initialisms[word]; ok {
			b.WriteString(up)
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
