package agenttest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// piece is what one read of a download returns, in bytes.
const piece = 16 << 10

// A Server is Mender's device API in memory, with one deployment. Its memory
// survives what happens to the device.
type Server struct {
	Deployment deployment.ID
	Artifact   []byte // what is offered; nil for nothing
	Name       string // its name

	State      deployment.State // of the device's part
	Detail     string
	History    []deployment.State // as it changed
	Log        []menderapi.Message
	Provides   map[string]string                                 // as last reported
	CancelAt   deployment.State                                  // canceled when this is reported, or a later step
	Away       func() bool                                       // whether no request gets through
	Serve      func(w http.ResponseWriter, r *http.Request) bool // takes a request over
	NoV2       bool
	Downloaded int64 // bytes
	Downloads  int   // requests for the artifact

	token  string
	logins int
	power  *Power
	done   func() // hears that an update is done
}

// RoundTrip lets a request through, unless the power goes on its way there or
// back.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	var resp *http.Response
	if s.Away != nil && s.Away() {
		return nil, fmt.Errorf("no route to %s", r.URL.Host)
	}
	err := s.power.do("request", func() {
		w := httptest.NewRecorder()
		s.serve(w, r)
		resp = w.Result()
	})
	if err != nil {
		return nil, err
	}
	resp.Body = &counted{resp.Body, s}
	return resp, nil
}

// counted is an answer of which every piece may be the last.
type counted struct {
	io.ReadCloser
	s *Server
}

func (c *counted) Read(p []byte) (n int, err error) {
	if power := c.s.power.do("network read", func() { n, err = c.ReadCloser.Read(p[:min(len(p), piece)]) }); power != nil {
		return 0, power
	}
	return n, err
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.Serve != nil && s.Serve(w, r) {
		return
	}
	if r.URL.Path == "/artifact" {
		s.download(w, r)
		return
	}
	if r.URL.Path == menderapi.AuthPath {
		s.login(w, r)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+s.token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body)
	must(err)
	switch r.URL.Path {
	case menderapi.InventoryPath:
		_, err := menderapi.ParseAttributes(body)
		must(err)
	case menderapi.NextPath:
		if s.NoV2 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		req, err := menderapi.ParseNextRequest(body)
		must(err)
		s.next(w, req)
	case menderapi.NextV1Path:
		req, err := menderapi.ParseNextQuery(r.URL.RawQuery)
		must(err)
		s.next(w, req)
	case menderapi.StatusPath(s.Deployment):
		s.progress(w, body)
	case menderapi.LogPath(s.Deployment):
		s.Log, err = menderapi.ParseLog(body)
		must(err)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// login checks the signature, and hands out a new token each time.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	must(err)
	req, err := menderapi.ParseAuthRequest(body)
	must(err)
	key, err := menderapi.ParseKey(req.Key)
	must(err)
	if err := key.Verify(body, r.Header.Get(menderapi.SignatureHeader)); err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.logins++
	s.token = fmt.Sprint("token-", s.logins)
	fmt.Fprint(w, s.token)
}

func (s *Server) next(w http.ResponseWriter, req menderapi.NextRequest) {
	s.Provides = req.Provides
	if s.Artifact == nil || s.State.Final() {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if s.State == "" || s.State == deployment.Pending {
		s.change(deployment.Offered, "")
	}
	reply := menderapi.NextReply{
		Assignment: fleet.Assignment{Deployment: s.Deployment, Artifact: fleet.Artifact{
			Name: s.Name, DeviceTypes: []string{DeviceType},
		}},
		URI: "http://files.test/artifact",
	}
	w.Write(reply.Append(nil))
}

func (s *Server) progress(w http.ResponseWriter, body []byte) {
	status, err := menderapi.ParseStatus(body)
	must(err)
	p, err := status.Progress(s.Deployment)
	must(err)
	if s.CancelAt != "" && !p.State.Final() && slices.Index(deployment.States, p.State) >= slices.Index(deployment.States, s.CancelAt) {
		s.change(deployment.Canceled, "")
	}
	next, err := deployment.Advance(s.State, p.State)
	switch {
	case s.State == deployment.Canceled:
		w.WriteHeader(http.StatusConflict)
		return
	case err == nil:
		s.change(next, p.Detail)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) change(to deployment.State, detail string) {
	if s.State != to {
		s.History = append(s.History, to)
		s.State, s.Detail = to, detail
		if to == deployment.Done && s.done != nil {
			s.done()
		}
	}
}

func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	s.Downloads++
	w.Header().Set("ETag", fmt.Sprintf("%q", s.Name))
	http.ServeContent(&tally{w, s}, r, "", time.Time{}, bytes.NewReader(s.Artifact))
}

// tally counts what is sent.
type tally struct {
	http.ResponseWriter
	s *Server
}

func (t *tally) Write(p []byte) (int, error) {
	t.s.Downloaded += int64(len(p))
	return t.ResponseWriter.Write(p)
}

// Path returns the states that the device went through, as one line.
func (s *Server) Path() string {
	words := make([]string, len(s.History))
	for i, h := range s.History {
		words[i] = string(h)
	}
	return strings.Join(words, " ")
}
