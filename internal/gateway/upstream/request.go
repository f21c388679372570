package upstream

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// maxToken bounds a token, in bytes.
const maxToken = menderapi.MaxTokenBody

// read takes a request of at most limit bytes off the LAN; when it returned
// false, it has answered.
func read(w http.ResponseWriter, r *http.Request, limit int64) (message, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		fail(w, http.StatusRequestEntityTooLarge, "too large")
		return message{}, false
	}
	if err != nil {
		return message{}, false // the device went away
	}
	m := message{
		Method: r.Method, Path: r.URL.RequestURI(), Type: r.Header.Get("Content-Type"),
		Signature: r.Header.Get(menderapi.SignatureHeader), Body: body,
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); strings.EqualFold(scheme, "Bearer") && len(token) <= maxToken {
		m.Token = token
	}
	return m, true
}

// pass is a request that the gateway has no part in.
func (p *Proxy) pass(limit, reply int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m, ok := read(w, r, limit)
		if !ok {
			return
		}
		a, err := p.up(r, m, reply)
		if err != nil {
			busy(w, err.Error())
			return
		}
		a.write(w)
	}
}

// up asks the server, and learns from its answer whether the token is good.
func (p *Proxy) up(r *http.Request, m message, reply int64) (answer, error) {
	a, err := p.servers.ask(r.Context(), m, reply)
	if err != nil {
		p.Log.Debug("uplink", "path", r.URL.Path, "error", err)
		return a, err
	}
	switch {
	case m.Token == "":
	case a.good():
		err = p.devices.learn(m.Token, "")
	case a.code == http.StatusUnauthorized:
		err = p.devices.forget(digest(m.Token), p.devices.tokens)
	}
	if err != nil {
		p.Log.Warn("remember device", "error", err)
	}
	p.reports.poke()
	return a, nil
}

// authenticate passes on what the device has signed. While the uplink is down,
// one that proves to hold the key that the server gave a token to gets the
// same token again.
func (p *Proxy) authenticate(w http.ResponseWriter, r *http.Request) {
	m, ok := read(w, r, menderapi.MaxAuthBody)
	if !ok {
		return
	}
	m.Token = ""
	a, err := p.up(r, m, menderapi.MaxTokenBody)
	if err != nil {
		p.authenticateHere(w, m, err)
		return
	}
	switch token := strings.TrimSpace(string(a.body)); {
	case a.good() && token != "":
		err = p.devices.learn(token, proven(m))
	case a.code == http.StatusUnauthorized:
		err = p.devices.forget(proven(m), p.devices.proved)
	}
	if err != nil {
		p.Log.Warn("remember device", "error", err)
	}
	a.write(w)
}

func (p *Proxy) authenticateHere(w http.ResponseWriter, m message, down error) {
	who := proven(m)
	d, known := p.devices.whoProved(who)
	if who == "" || !known {
		busy(w, down.Error())
		return
	}
	w.Header().Set("Content-Type", menderapi.TokenType)
	io.WriteString(w, d.Token)
}

// proven is who a signed request is from: identity and key, when it was made
// with that key; else empty.
func proven(m message) string {
	req, err := menderapi.ParseAuthRequest(m.Body)
	if err != nil {
		return ""
	}
	key, err := menderapi.ParseKey(req.Key)
	if err != nil || key.Verify(m.Body, m.Signature) != nil {
		return ""
	}
	return digest(req.Identity + "\n" + key.PEM())
}
