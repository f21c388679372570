package clientgen

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

func (g *generator) path(path string, item *huma.PathItem) {
	for _, o := range []struct {
		method string
		op     *huma.Operation
	}{{"Get", item.Get}, {"Post", item.Post}, {"Put", item.Put}, {"Delete", item.Delete}} {
		if o.op != nil {
			g.operation(path, o.method, o.op)
		}
	}
	if item.Patch != nil || item.Head != nil || item.Options != nil {
		g.cannot("%s has a method that the client does not know", path)
	}
}

// A signature is what a method takes and gives.
type signature struct {
	name, args, body string
	params           []*huma.Param // in query and header
	result           string        // Go type; "" for none, "stream" for bytes
}

func (g *generator) operation(path, method string, op *huma.Operation) {
	s := g.signature(op)
	if len(s.params) > 0 {
		g.params(s)
	}
	g.line("// %s: %s.", s.name, op.Summary)
	g.line("func (c *Client) %s(ctx context.Context%s) %s {", s.name, s.args, result(s.result))
	g.line("r := request{method: http.Method%s, path: %s, %s}", method, pathExpr(path), s.body)
	for _, p := range s.params {
		g.line("%s", setter(p))
	}
	switch s.result {
	case "":
		g.line("return c.do(ctx, r, nil)")
	case "stream":
		g.line("return c.open(ctx, r)")
	default:
		g.line("var out %s\nerr := c.do(ctx, r, &out)\nreturn out, err", s.result)
	}
	g.line("}\n")
}

func (g *generator) signature(op *huma.Operation) signature {
	s := signature{name: goName(op.OperationID)}
	for _, p := range op.Parameters {
		if p.In == "path" {
			s.args += ", " + p.Name + " string"
		} else {
			s.params = append(s.params, p)
		}
	}
	if op.RequestBody != nil {
		if m := op.RequestBody.Content["application/json"]; m != nil {
			s.args += ", body " + g.goType(m.Schema)
			s.body = "json: body"
		} else {
			s.args += ", body io.Reader"
			s.body = "raw: body"
		}
	}
	if len(s.params) > 0 {
		s.args += ", p " + s.name + "Params"
	}
	s.result = g.result(op)
	return s
}

func (g *generator) result(op *huma.Operation) string {
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if status[0] != '2' {
			continue
		}
		content := op.Responses[status].Content
		switch {
		case len(content) == 0:
			return ""
		case content["application/json"] != nil:
			return g.goType(content["application/json"].Schema)
		}
		return "stream"
	}
	return g.cannot("%s answers nothing", op.OperationID)
}

func result(typ string) string {
	switch typ {
	case "":
		return "error"
	case "stream":
		return "(io.ReadCloser, error)"
	}
	return "(" + typ + ", error)"
}

func (g *generator) params(s signature) {
	g.line("// %sParams are what %s may be told; zero is not said.", s.name, s.name)
	g.line("type %sParams struct {", s.name)
	for _, p := range s.params {
		g.line("%s %s // %s", goName(p.Name), g.goType(p.Schema), p.Description)
	}
	g.line("}\n")
}

func setter(p *huma.Param) string {
	return fmt.Sprintf("r.set(%q, %q, p.%s)", p.In, p.Name, goName(p.Name))
}

// pathExpr is a Go expression for a path with its parameters filled in.
func pathExpr(path string) string {
	var parts []string
	for path != "" {
		before, rest, found := strings.Cut(path, "{")
		parts = append(parts, fmt.Sprintf("%q", before))
		if !found {
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		parts = append(parts, "url.PathEscape("+name+")")
		path = after
	}
	return strings.Join(parts, " + ")
}
