package upstream

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// FuzzOffer: whatever a server answers, what devices get differs in the
// address alone.
func FuzzOffer(f *testing.F) {
	f.Add([]byte(`{"id":"d1","artifact":{"artifact_name":"r2","source":{"uri":"/a?b=c&d=e","expire":"2030-01-01T00:00:00Z"},"device_types_compatible":["b"],"size":10,"sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"},"update_control_map":{"x":1}}`))
	f.Add([]byte(`{"id":"d1","artifact":{"artifact_name":"r2","source":{"uri":"https://x/y"}}}`))
	f.Add([]byte(`{"id":"d1","artifact":null}`))
	from, _ := url.Parse("https://server.test/base")
	f.Fuzz(func(t *testing.T, body []byte) {
		o, ok := offerOf(answer{code: 200, body: body, from: from})
		if !ok {
			return
		}
		if o.SHA256 == "" && o.Size != 0 || o.SHA256 != "" && (len(o.SHA256) != 64 || o.Size <= 0) {
			t.Fatalf("offer of %d bytes with sum %q", o.Size, o.SHA256)
		}
		out, err := relink(o.Reply, "https://gateway.test/a?b=c&d=e", time.Unix(1, 0))
		if err != nil {
			return // answered with an error, not with half of it
		}
		was, err1 := menderapi.ParseNextReply(body)
		is, err2 := menderapi.ParseNextReply(out)
		if err1 != nil || err2 != nil || is.URI != "https://gateway.test/a?b=c&d=e" || is.Assignment.Deployment != was.Assignment.Deployment {
			t.Fatalf("%s became %s: %v %v", body, out, err1, err2)
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal(out, &all); err != nil {
			t.Fatal(err)
		}
	})
}
