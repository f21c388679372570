package upstream

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// next passes on the question and the answer, with an address here in the
// place of the artifact's. While the uplink is down, a device gets its last
// offer again when the artifact is here and it did not say how that ended.
func (p *Proxy) next(w http.ResponseWriter, r *http.Request) {
	m, ok := read(w, r, menderapi.MaxNextBody)
	if !ok {
		return
	}
	a, err := p.up(r, m, menderapi.MaxNextReply)
	if err != nil {
		d, known := p.devices.whose(m.Token)
		if !known || d.Offer == nil || d.Offer.Ended || !p.cache.has(d.Offer.SHA256) {
			busy(w, err.Error())
			return
		}
		p.offer(w, r, d, *d.Offer)
		return
	}
	d, known := p.devices.whose(m.Token)
	if !known || a.code != http.StatusOK {
		if a.code == http.StatusNoContent && known && d.Offer != nil {
			p.remember(d, nil)
		}
		a.write(w)
		return
	}
	o, ok := offerOf(a)
	if !ok {
		a.write(w)
		return
	}
	p.remember(d, &o)
	p.offer(w, r, d, o)
}

// offerOf reads an answer with work.
func offerOf(a answer) (o offer, ok bool) {
	reply, err := menderapi.ParseNextReply(a.body)
	if err != nil {
		return o, false
	}
	u, err := url.Parse(reply.URI)
	if err != nil {
		return o, false
	}
	as := reply.Assignment
	o = offer{Deployment: as.Deployment, SHA256: as.Artifact.SHA256, Size: as.Artifact.Size, URI: a.from.ResolveReference(u).String(), Reply: a.body}
	if sum, err := hex.DecodeString(o.SHA256); err != nil || len(sum) != 32 || o.SHA256 != hex.EncodeToString(sum) || o.Size <= 0 {
		o.SHA256, o.Size = "", 0 // not said: nothing to verify with, so nothing to keep
	}
	return o, true
}

// remember keeps an offer. One that is made again has not ended for the
// server, whatever the device said.
func (p *Proxy) remember(d lanDevice, o *offer) {
	err := p.devices.change(d.Key, func(one *lanDevice) bool {
		if o != nil && one.Offer != nil && o.Deployment == one.Offer.Deployment && bytes.Equal(o.Reply, one.Offer.Reply) && !one.Offer.Ended {
			return false
		}
		one.Offer = o
		return true
	})
	if err != nil {
		p.Log.Warn("remember offer", "error", err)
	}
}

// offer answers with a link to here.
func (p *Proxy) offer(w http.ResponseWriter, r *http.Request, d lanDevice, o offer) {
	expire := p.Now().Add(p.LinkTTL)
	body, err := relink(o.Reply, p.link(r, d.Key, o.Deployment, expire), expire)
	if err != nil { // ParseNextReply has read it before
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", menderapi.JSONType)
	w.Write(body)
}

// relink replaces the address in a reply, and nothing else.
func relink(reply []byte, uri string, expire time.Time) ([]byte, error) {
	var all, artifact, source map[string]json.RawMessage
	if err := json.Unmarshal(reply, &all); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(all["artifact"], &artifact); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(artifact["source"], &source); err != nil {
		return nil, err
	}
	source["uri"] = quote(uri)
	source["expire"] = quote(expire.UTC().Format(time.RFC3339))
	var err error
	if artifact["source"], err = json.Marshal(source); err != nil {
		return nil, err
	}
	if all["artifact"], err = json.Marshal(artifact); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // links keep their ampersands
	err = e.Encode(all)
	return bytes.TrimSpace(out.Bytes()), err
}

func quote(text string) json.RawMessage {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // texts always encode
	return bytes.TrimSpace(out.Bytes())
}
