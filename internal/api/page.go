package api

import (
	"net/url"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moult-ota/moult/internal/control"
)

// Paging is what every list takes.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Items on a page"`
	Cursor string `query:"cursor" maxLength:"1024" doc:"next_cursor of the page before"`
	at     url.URL
}

// Resolve keeps the address, to link the next page from.
func (p *Paging) Resolve(hc huma.Context) []error {
	p.at = hc.URL()
	return nil
}

func (p *Paging) page() control.Page { return control.Page{Limit: p.Limit, Cursor: p.Cursor} }

// pageOut is what every list answers.
type pageOut[T any] struct {
	Link string `header:"Link" doc:"The next page, rel=next (RFC 8288); absent on the last"`
	Body Page[T]
}

func paged[T, F any](in *Paging, l control.List[F], shape func(F) T) *pageOut[T] {
	out := &pageOut[T]{Body: Page[T]{Items: shapes(l.Items, shape), NextCursor: l.Next}}
	if l.Next != "" {
		q := in.at.Query()
		q.Set("cursor", l.Next)
		q.Set("limit", strconv.Itoa(in.Limit))
		out.Link = "<" + in.at.Path + "?" + q.Encode() + `>; rel="next"`
	}
	return out
}

// shapes maps a list; it is never nil, so that JSON has [] and not null.
func shapes[F, T any](from []F, shape func(F) T) []T {
	to := make([]T, len(from))
	for i, f := range from {
		to[i] = shape(f)
	}
	return to
}
