package menderapi

import (
	"bytes"
	"reflect"
	"testing"
)

// Every target: no panic, and what was read, written and read again is the
// same. The kept corpus is in testdata/fuzz.

func FuzzParseAuthRequest(f *testing.F) {
	f.Add([]byte(goldenAuth))
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := ParseAuthRequest(src)
		if err != nil {
			return
		}
		if again, err := ParseAuthRequest(r.Append(nil)); len(r.Append(nil)) <= MaxAuthBody && (err != nil || again != r) {
			t.Errorf("again = %+v, %v, want %+v", again, err, r)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n")
	f.Fuzz(func(t *testing.T, src string) {
		k, err := ParseKey(src)
		if err != nil {
			return
		}
		if again, err := ParseKey(k.PEM()); err != nil || again.PEM() != k.PEM() {
			t.Errorf("again = %q, %v, want %q", again.PEM(), err, k.PEM())
		}
		_ = k.Verify([]byte(src), "AAAA")
	})
}

func FuzzParseNext(f *testing.F) {
	f.Add([]byte(goldenNext))
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := ParseNextRequest(src)
		if err != nil {
			return
		}
		if again, err := ParseNextRequest(r.Append(nil)); len(r.Append(nil)) <= MaxNextBody && (err != nil || !reflect.DeepEqual(again, r)) {
			t.Errorf("again = %+v, %v, want %+v", again, err, r)
		}
	})
}

func FuzzParseNextReply(f *testing.F) {
	f.Add([]byte(`{"id":"d","artifact":{"artifact_name":"n","source":{"uri":"u","expire":"2026-11-23T07:06:55Z"},"size":1}}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := ParseNextReply(src)
		if err != nil {
			return
		}
		once := r.Append(nil)
		again, err := ParseNextReply(once)
		if len(once) <= MaxNextReply && (err != nil || !bytes.Equal(again.Append(nil), once)) {
			t.Errorf("again = %+v, %v, want %+v", again, err, r)
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(`{"status":"failure","substate":"moult:rolled-back bytes=7 no network"}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := ParseStatus(src)
		if err != nil {
			return
		}
		p, err := s.Progress("d")
		if err != nil {
			t.Fatalf("%+v.Progress: %v", s, err)
		}
		back, err := NewStatus(p)
		if err != nil || len(back.Substate) > MaxSubstate {
			t.Errorf("NewStatus(%+v) = %+v, %v", p, back, err)
		}
	})
}

func FuzzParseLog(f *testing.F) {
	f.Add([]byte(`{"messages":[{"level":null,"message":"a","timestamp":"2026-01-20T12:34:56,123456Z"}]}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		log, err := ParseLog(src)
		if err != nil {
			return
		}
		again, err := ParseLog(AppendLog(nil, log))
		if len(AppendLog(nil, log)) <= MaxLogBody && (err != nil || !reflect.DeepEqual(again, log)) {
			t.Errorf("again = %+v, %v, want %+v", again, err, log)
		}
	})
}

func FuzzParseAttributes(f *testing.F) {
	f.Add([]byte(`[{"name":"net","value":["eth0",1]}]`))
	f.Fuzz(func(t *testing.T, src []byte) {
		a, err := ParseAttributes(src)
		if err != nil {
			return
		}
		body, err := AppendAttributes(nil, a)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseAttributes(body); len(body) <= MaxInventoryBody && (err != nil || !reflect.DeepEqual(again, a)) {
			t.Errorf("again = %v, %v, want %v", again, err, a)
		}
	})
}
