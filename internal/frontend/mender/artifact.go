package mender

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// A link is a capability: whoever has it may read one deployment's artifact
// as one device would, until it expires.
//
//	linkPath deployment "/" device "?expire=" Unix seconds "&signature=" mark of all before
const (
	linkPath  = "/api/devices/v1/download/"
	signature = "&signature="
)

func (f *frontEnd) link(r *http.Request, d deployment.ID, id device.ID, expire time.Time) string {
	text := linkText(d, id, strconv.FormatInt(expire.Unix(), 10))
	return string(f.links.append([]byte(f.base(r)+text+signature), text))
}

func linkText(d deployment.ID, id device.ID, expire string) string {
	return linkPath + url.PathEscape(string(d)) + "/" + url.PathEscape(string(id)) + "?expire=" + expire
}

// base is what links begin with.
func (f *frontEnd) base(r *http.Request) string {
	if f.BaseURL != "" {
		return f.BaseURL
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if f.TrustProxy {
		if p := r.Header.Get("X-Forwarded-Proto"); p == "http" || p == "https" {
			scheme = p
		}
		if h := r.Header.Get("X-Forwarded-Host"); h != "" {
			host = h
		}
	}
	return scheme + "://" + host
}

// artifact serves the bytes behind a link.
func (f *frontEnd) artifact(w http.ResponseWriter, r *http.Request) error {
	d, id, err := f.checkLink(r)
	if err != nil {
		return err
	}
	if !f.downloads.enter(id) {
		return fleet.ErrBusy
	}
	defer f.downloads.leave(id)
	content, err := f.Core.Open(r.Context(), id, d)
	if errors.Is(err, fleet.ErrUnauthorized) {
		return errLink // 401 would ask for a token, which nobody has here
	}
	if err != nil {
		return err
	}
	defer content.Close()
	h := w.Header()
	h.Set("Content-Type", menderapi.ArtifactType)
	h.Set("ETag", `"`+content.Artifact().SHA256+`"`)
	h.Set("Cache-Control", "private")
	http.ServeContent(w, r, "", time.Time{}, content) // content that is a file is sent by the kernel
	return nil
}

func (f *frontEnd) checkLink(r *http.Request) (deployment.ID, device.ID, error) {
	d, id := deployment.ID(r.PathValue("deployment")), device.ID(r.PathValue("device"))
	query, mark, _ := strings.Cut(r.URL.RawQuery, signature)
	expire, _ := strings.CutPrefix(query, "expire=")
	if !f.links.check(linkText(d, id, expire), mark) {
		return "", "", errLink
	}
	unix, err := strconv.ParseInt(expire, 10, 64)
	if err != nil || f.Now().Unix() >= unix {
		return "", "", errLink
	}
	return d, id, nil
}
