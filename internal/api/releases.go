package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/moult-ota/moult/internal/auth"
)

func (a *api) releases() {
	add(a, auth.Release, huma.Operation{
		OperationID: "upload-artifact", Method: http.MethodPost, Path: "/artifacts", Summary: "Upload an artifact; it is checked while it arrives",
		Description: "The same bytes again are the same artifact, and no error.",
		Tags:        []string{"releases"}, DefaultStatus: http.StatusCreated,
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}},
		}},
	}, a.upload)
	add(a, auth.Read, huma.Operation{
		OperationID: "download-artifact", Method: http.MethodGet, Path: "/artifacts/{id}/content", Summary: "Download an artifact; takes ranges",
		Tags: []string{"releases"}, Responses: binary("The artifact file"),
	}, a.download)
	add(a, auth.Release, huma.Operation{
		OperationID: "delete-artifact", Method: http.MethodDelete, Path: "/artifacts/{id}", Summary: "Delete an artifact that no active deployment uses",
		Tags: []string{"releases"}, DefaultStatus: http.StatusNoContent,
	}, a.deleteArtifact)
	add(a, auth.Read, huma.Operation{
		OperationID: "list-releases", Method: http.MethodGet, Path: "/releases", Summary: "List releases", Tags: []string{"releases"},
	}, a.listReleases)
	add(a, auth.Read, huma.Operation{
		OperationID: "show-release", Method: http.MethodGet, Path: "/releases/{name}", Summary: "Show a release and its artifacts", Tags: []string{"releases"},
	}, a.showRelease)
}

// binary describes an answer that is no JSON.
func binary(what string) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {Description: what, Content: map[string]*huma.MediaType{
		"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}},
	}}}
}

type uploadIn struct {
	Note string `query:"note" maxLength:"1024" doc:"Kept with the artifact"`
	body io.Reader
}

// Resolve takes the body as a stream, so that nothing keeps it in memory;
// the control plane bounds it.
func (in *uploadIn) Resolve(hc huma.Context) []error {
	in.body = &patient{r: hc.BodyReader(), deadline: hc.SetReadDeadline}
	return nil
}

// patience is how long an upload may stand still.
const patience = time.Minute

// A patient reader gives every read its own deadline, so that a slow upload
// may take hours and a dead one ends.
type patient struct {
	r        io.Reader
	deadline func(time.Time) error
	moved    time.Time // when the deadline was
}

func (p *patient) Read(b []byte) (int, error) {
	if now := time.Now(); now.Sub(p.moved) > patience/10 {
		p.moved = now
		p.deadline(now.Add(patience)) // a writer that knows no deadlines has none
	}
	return p.r.Read(b)
}

type uploadOut struct {
	Location string `header:"Location"`
	Body     Artifact
}

func (a *api) upload(ctx context.Context, in *uploadIn) (*uploadOut, error) {
	art, err := a.control.Upload(ctx, in.body, in.Note)
	if err != nil {
		return nil, err
	}
	return &uploadOut{Location: Prefix + "/artifacts/" + art.ID + "/content", Body: artifactShape(art)}, nil
}

type artifactIn struct {
	ID string `path:"id" maxLength:"128"`
}

type downloadIn struct {
	ID    string `path:"id" maxLength:"128"`
	Range string `header:"Range" doc:"RFC 9110 §14"`
}

func (a *api) download(ctx context.Context, in *downloadIn) (*huma.StreamResponse, error) {
	content, art, err := a.control.OpenArtifact(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer content.Close()
		r, w := humago.Unwrap(hc)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("ETag", `"`+art.SHA256+`"`)
		http.ServeContent(w, r, "", art.CreatedAt, content)
	}}, nil
}

func (a *api) deleteArtifact(ctx context.Context, in *artifactIn) (*struct{}, error) {
	return nil, a.control.DeleteArtifact(ctx, in.ID)
}

func (a *api) listReleases(ctx context.Context, in *Paging) (*pageOut[Release], error) {
	l, err := a.control.Releases(ctx, in.page())
	if err != nil {
		return nil, err
	}
	return paged(in, l, releaseShape), nil
}

type releaseIn struct {
	Name string `path:"name" maxLength:"256"`
}

type releaseOut struct{ Body Release }

func (a *api) showRelease(ctx context.Context, in *releaseIn) (*releaseOut, error) {
	r, err := a.control.Release(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return &releaseOut{Body: releaseShape(r)}, nil
}
