package mender

import (
	"net/http"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

func (f *frontEnd) nextV2(w http.ResponseWriter, r *http.Request, id device.ID) error {
	return f.nextBody(w, r, id, menderapi.ParseNextRequest)
}

func (f *frontEnd) nextV1(w http.ResponseWriter, r *http.Request, id device.ID) error {
	return f.nextBody(w, r, id, menderapi.ParseNextV1)
}

func (f *frontEnd) nextBody(w http.ResponseWriter, r *http.Request, id device.ID, parse func([]byte) (menderapi.NextRequest, error)) error {
	var req menderapi.NextRequest
	err := withBody(w, r, menderapi.MaxNextBody, func(body []byte) (err error) {
		req, err = parse(body)
		return err
	})
	if err != nil {
		return err
	}
	return f.next(w, r, id, req.Report())
}

func (f *frontEnd) nextQuery(w http.ResponseWriter, r *http.Request, id device.ID) error {
	req, err := menderapi.ParseNextQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	return f.next(w, r, id, req.Report())
}

// next tells a device what to do. Nothing, by far the most common answer, has
// no body and leaves no line in the log.
func (f *frontEnd) next(w http.ResponseWriter, r *http.Request, id device.ID, report fleet.Report) error {
	a, err := f.Core.CheckIn(r.Context(), id, report)
	if err != nil {
		return err
	}
	if a.Deployment == "" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	expire := f.Now().Add(f.LinkTTL)
	reply := menderapi.NextReply{Assignment: a, URI: f.link(r, a.Deployment, id, expire), Expire: expire}
	w.Header().Set("Content-Type", menderapi.JSONType)
	w.Write(reply.Append(nil))
	return nil
}
