package mender

import (
	"bytes"
	"io"
	"net/http"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

func deploymentOf(r *http.Request) deployment.ID { return deployment.ID(r.PathValue("id")) }

func (f *frontEnd) status(w http.ResponseWriter, r *http.Request, id device.ID) error {
	var p fleet.Progress
	err := withBody(w, r, menderapi.MaxStatusBody, func(body []byte) error {
		s, err := menderapi.ParseStatus(body)
		if err != nil {
			return err
		}
		p, err = s.Progress(deploymentOf(r))
		return err
	})
	if err != nil {
		return err
	}
	if err := f.Core.Progress(r.Context(), id, p); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (f *frontEnd) log(w http.ResponseWriter, r *http.Request, id device.ID) error {
	var text []byte
	err := withBody(w, r, menderapi.MaxLogBody, func(body []byte) error {
		log, err := menderapi.ParseLog(body)
		text = menderapi.AppendText(nil, log)
		return err
	})
	if err != nil {
		return err
	}
	if err := f.Core.Log(r.Context(), id, deploymentOf(r), bytes.NewReader(text)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// controlMap tells a client 2.7 to 3.x that nothing holds its update back,
// or by an error that the update is off.
func (f *frontEnd) controlMap(w http.ResponseWriter, r *http.Request, id device.ID) error {
	content, err := f.Core.Open(r.Context(), id, deploymentOf(r))
	switch {
	case statusOf(err) == http.StatusConflict && err != nil:
		return fleet.ErrNotFound // the one answer that these clients take for an end
	case err != nil:
		return err
	}
	content.Close()
	w.Header().Set("Content-Type", menderapi.JSONType)
	io.WriteString(w, "{}")
	return nil
}

func (f *frontEnd) replaceInventory(w http.ResponseWriter, r *http.Request, id device.ID) error {
	return f.describe(w, r, id, true)
}

func (f *frontEnd) addInventory(w http.ResponseWriter, r *http.Request, id device.ID) error {
	return f.describe(w, r, id, false)
}

func (f *frontEnd) describe(w http.ResponseWriter, r *http.Request, id device.ID, replace bool) error {
	var attributes inventory.Attributes
	err := withBody(w, r, menderapi.MaxInventoryBody, func(body []byte) (err error) {
		attributes, err = menderapi.ParseAttributes(body)
		return err
	})
	if err != nil {
		return err
	}
	if err := f.Core.Describe(r.Context(), id, attributes, replace); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
