package upstream

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// A link is a capability: whoever has it may read what one device is offered.
//
//	linkPath deployment "/" device "?expire=" Unix seconds "&signature=" mark of all before
const (
	linkPath  = "/api/devices/v1/download/"
	signature = "&signature="
)

// A seal marks links, so that no other is served.
type seal []byte

const secretSize = 32

// openSeal reads the secret, and makes one when there is none.
func openSeal(path string) (seal, error) {
	secret, err := atomicfile.Read(path, secretSize)
	if err == nil && len(secret) == secretSize {
		return secret, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	secret = make([]byte, secretSize)
	rand.Read(secret)
	return secret, atomicfile.Write(path, secret, 0o600)
}

func (s seal) mark(text string) string {
	mac := hmac.New(sha256.New, s)
	io.WriteString(mac, text)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (p *Proxy) link(r *http.Request, device string, d deployment.ID, expire time.Time) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	text := linkText(d, device, strconv.FormatInt(expire.Unix(), 10))
	return scheme + "://" + r.Host + text + signature + p.links.mark(text)
}

func linkText(d deployment.ID, device, expire string) string {
	return linkPath + url.PathEscape(string(d)) + "/" + device + "?expire=" + expire
}

// download serves an artifact: from the cache, or through it, or past it when
// there is no room or the server did not say what it is.
func (p *Proxy) download(w http.ResponseWriter, r *http.Request) {
	key, id := r.PathValue("device"), deployment.ID(r.PathValue("deployment"))
	query, mark, _ := strings.Cut(r.URL.RawQuery, signature)
	expire, _ := strings.CutPrefix(query, "expire=")
	good := hmac.Equal([]byte(p.links.mark(linkText(id, key, expire))), []byte(mark))
	unix, err := strconv.ParseInt(expire, 10, 64)
	if !good || err != nil || p.Now().Unix() >= unix {
		fail(w, http.StatusForbidden, "link is forged or expired")
		return
	}
	d, known := p.devices.named(key)
	if !known || d.Offer == nil || d.Offer.Deployment != id {
		fail(w, http.StatusForbidden, "this is offered no longer")
		return
	}
	content, err := p.cache.open(r.Context(), *d.Offer)
	if err != nil {
		p.Log.Info("artifact goes past the cache", "deployment", id, "why", err)
		p.stream(w, r, d.Offer.URI)
		return
	}
	defer content.Close()
	ctx, cancel := context.WithTimeout(r.Context(), p.Timeout)
	defer cancel()
	if err := content.begun(ctx); err != nil {
		failDownload(w, err)
		return
	}
	w.Header().Set("Content-Type", menderapi.ArtifactType)
	w.Header().Set("ETag", `"`+d.Offer.SHA256+`"`)
	out := patient{w, http.NewResponseController(w)}
	defer out.c.SetWriteDeadline(time.Time{}) // for what comes next on this connection
	http.ServeContent(out, r, "", time.Time{}, content)
}

// A patient writer waits for a device that takes nothing, but not for ever.
type patient struct {
	http.ResponseWriter
	c *http.ResponseController
}

// stall is how long a device may take nothing.
const stall = 2 * time.Minute

func (p patient) Write(b []byte) (int, error) {
	_ = p.c.SetWriteDeadline(time.Now().Add(stall)) // a writer within this program has none
	return p.ResponseWriter.Write(b)
}

// failDownload says of an artifact what the server said.
func failDownload(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, link.ErrCanceled):
		fail(w, http.StatusConflict, err.Error())
	case errors.Is(err, link.ErrNotFound):
		fail(w, http.StatusNotFound, err.Error())
	case errors.Is(err, link.ErrExpired), errors.Is(err, link.ErrUnauthorized):
		fail(w, http.StatusForbidden, err.Error())
	default:
		busy(w, err.Error())
	}
}

// stream passes an artifact on and keeps nothing.
func (p *Proxy) stream(w http.ResponseWriter, r *http.Request, uri string) {
	up, err := http.NewRequestWithContext(r.Context(), http.MethodGet, uri, nil)
	if err != nil {
		fail(w, http.StatusBadGateway, "the server's address of the artifact is none")
		return
	}
	up.Header.Set("Accept-Encoding", "identity")
	for _, name := range []string{"Range", "If-Range"} {
		if v := r.Header.Get(name); v != "" {
			up.Header.Set(name, v)
		}
	}
	resp, err := p.servers.client.Do(up)
	if err != nil {
		busy(w, fmt.Sprintf("%v: %v", errDown, err))
		return
	}
	defer resp.Body.Close()
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified"} {
		if v := resp.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(resp.StatusCode)
	out := patient{w, http.NewResponseController(w)}
	defer out.c.SetWriteDeadline(time.Time{})
	io.Copy(out, resp.Body)
}
