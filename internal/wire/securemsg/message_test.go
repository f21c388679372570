package securemsg

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
)

func TestMessagesComeBack(t *testing.T) {
	up := []Message{
		CheckIn{7, "beaglebone", map[string]string{"artifact_name": "1"}},
		NewProgress(8, fleet.Progress{Deployment: "d", State: deployment.Failed, Detail: "no\xff", Bytes: 1}),
		Describe{3, false, inventory.Attributes{"net": []any{"eth0", 2.0}}},
		Log{4, "d", 1, 5, []byte("done")},
		Ack{KindCancel, 12, ResultOK, 0},
	}
	down := []Message{assignment(), Cancel{12, "d"}, Time{5}, Keys{1, accepted().Keys}, Ack{KindLog, 4, ResultBusy, 9}}
	for i, m := range append(up, down...) {
		parse := ParseUp
		if i >= len(up) {
			parse = ParseDown
		}
		src := encoded(t)(m.Append(nil))
		if got, err := parse(src); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("parse(%x) = %+v, %v, want %+v", src, got, err, m)
		}
	}
}

// TestAssignmentFits keeps the longest assignment below its 4 KiB, and an
// ordinary one short.
func TestAssignmentFits(t *testing.T) {
	a := assignment()
	if n := len(encoded(t)(a.Append(nil))); n > 400 {
		t.Errorf("an ordinary assignment takes %d bytes, want at most 400", n)
	}
	a.Artifact.DeviceTypes = nil
	for range MaxDeviceTypes {
		a.Artifact.DeviceTypes = append(a.Artifact.DeviceTypes, strings.Repeat("t", 200))
	}
	encoded(t)(a.Append(nil))
	for i := range a.Artifact.DeviceTypes {
		a.Artifact.DeviceTypes[i] = strings.Repeat("t", 256)
	}
	if _, err := a.Append(nil); !errors.Is(err, ErrMessage) {
		t.Errorf("Append of an assignment beyond %d bytes = %v, want ErrMessage", MaxAssignment, err)
	}
}

func TestAssignmentRefusals(t *testing.T) {
	for name, spoil := range map[string]func(*Assignment){
		"number 0":         func(a *Assignment) { a.Number = 0 },
		"no deployment":    func(a *Assignment) { a.Deployment = "" },
		"no artifact":      func(a *Assignment) { a.Artifact.ID = "" },
		"name too long":    func(a *Assignment) { a.Artifact.Name = strings.Repeat("n", MaxName+1) },
		"no types":         func(a *Assignment) { a.Artifact.DeviceTypes = nil },
		"17 types":         func(a *Assignment) { a.Artifact.DeviceTypes = make([]string, MaxDeviceTypes+1) },
		"an empty type":    func(a *Assignment) { a.Artifact.DeviceTypes = []string{""} },
		"size 0":           func(a *Assignment) { a.Artifact.Size = 0 },
		"size below 0":     func(a *Assignment) { a.Artifact.Size = -1 },
		"chunks too small": func(a *Assignment) { a.Object.Chunk = MinChunk - 1 },
		"chunks too big":   func(a *Assignment) { a.Object.Chunk = MaxChunk + 1 },
		"too many chunks":  func(a *Assignment) { a.Artifact.Size = MaxChunks<<12 + 1 },
		"end of time":      func(a *Assignment) { a.Expires = 1 << 63 },
	} {
		a := assignment()
		spoil(&a)
		if _, err := a.Append(nil); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: Append = %v, want ErrMessage", name, err)
		}
	}
}

// TestReplayedAssignment: an assignment is acted on by the device it names,
// once, in order, and in time.
func TestReplayedAssignment(t *testing.T) {
	a := assignment()
	before := time.Unix(int64(a.Expires)-1, 0)
	tests := []struct {
		name    string
		me      DeviceID
		last    uint64
		working deployment.ID
		now     time.Time
		want    error
	}{
		{"new", a.Device, 11, "", before, nil},
		{"offered again while at work on it", a.Device, 12, a.Deployment, before, nil},
		{"again after it ended", a.Device, 12, "", before, ErrOld},
		{"older than the last one", a.Device, 13, a.Deployment, before, ErrOld},
		{"after the last of all numbers", a.Device, 1<<64 - 1, "", before, ErrOld},
		{"for another device", NewDeviceID([]byte("other")), 11, "", before, ErrNotMine},
		{"too late", a.Device, 11, "", before.Add(time.Second), ErrExpired},
	}
	for _, tt := range tests {
		if err := a.For(tt.me, tt.last, tt.working, tt.now); !errors.Is(err, tt.want) {
			t.Errorf("%s: For = %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestContentKeyStaysOutOfLogs(t *testing.T) {
	a := assignment()
	key := fmt.Sprintf("%x", a.Object.Key[:4])
	for _, verb := range []string{"%v", "%+v", "%s", "%#v"} {
		if text := fmt.Sprintf(verb, a); strings.Contains(text, key) || strings.Contains(text, fmt.Sprint(a.Object.Key[0], " ", a.Object.Key[1])) {
			t.Errorf("Sprintf(%q) shows the content key: %s", verb, text)
		}
	}
}

func TestArtifactOfTheFleet(t *testing.T) {
	want := assignment().Fleet().Artifact
	a, err := NewArtifact(want)
	if err != nil || !reflect.DeepEqual(a, assignment().Artifact) {
		t.Errorf("NewArtifact(%+v) = %+v, %v", want, a, err)
	}
	want.SHA256 = want.SHA256[:62]
	if _, err := NewArtifact(want); !errors.Is(err, ErrMessage) {
		t.Errorf("NewArtifact with a short SHA-256 = %v, want ErrMessage", err)
	}
}

func TestResults(t *testing.T) {
	for _, want := range []error{nil, fleet.ErrCanceled, fleet.ErrNotFound, deployment.ErrEnded, fleet.ErrUnauthorized, fleet.ErrTooLarge, fleet.ErrBusy, ErrMessage} {
		err := want
		if want != nil {
			err = fmt.Errorf("progress: %w", want)
		}
		if got := ResultOf(err).Err(); got != want {
			t.Errorf("ResultOf(%v).Err() = %v", err, got)
		}
	}
	for err, want := range map[error]Result{
		deployment.ErrState: ResultRefused, fleet.ErrPending: ResultUnauthorized, errors.New("disk is full"): ResultBusy,
		fmt.Errorf("%w: %w", ErrMessage, fleet.ErrTooLarge): ResultTooLarge,
	} {
		if got := ResultOf(err); got != want {
			t.Errorf("ResultOf(%v) = %d, want %d", err, got, want)
		}
	}
}

// TestAnnouncedLengths: a few bytes that announce a lot allocate little.
func TestAnnouncedLengths(t *testing.T) {
	for _, r := range refusals(t) {
		if !strings.Contains(r.name, "announces") {
			continue
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := parsers[r.form](r.bytes); err == nil {
			t.Errorf("%s was taken", r.name)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
			t.Errorf("%s allocated %d bytes", r.name, n)
		}
	}
}

// TestLimits: what is one byte or element beyond a cap is not written; the
// reader shares the check.
func TestLimits(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	provides := map[string]string{}
	attributes := inventory.Attributes{}
	for i := range inventory.MaxAttributes + 1 {
		attributes[fmt.Sprint(i)] = ""
		if i <= MaxProvides {
			provides[fmt.Sprint(i)] = ""
		}
	}
	for name, m := range map[string]payload{
		"type":              CheckIn{1, long(257), nil},
		"provides":          CheckIn{1, "t", provides},
		"name of provides":  CheckIn{1, "t", map[string]string{long(MaxName + 1): ""}},
		"no name":           CheckIn{1, "t", map[string]string{"": ""}},
		"value of provides": CheckIn{1, "t", map[string]string{"a": long(MaxProvided + 1)}},
		"check-in":          CheckIn{1, "t", map[string]string{"a": long(4096), "b": long(4096), "c": long(4096), "d": long(4096), "e": long(4096), "f": long(4096), "g": long(4096), "h": long(4096)}},
		"detail":            Progress{Number: 1, Deployment: "d", State: deployment.Done, Detail: long(deployment.MaxDetail + 1)},
		"bytes":             Progress{Number: 1, Deployment: "d", State: deployment.Done, Bytes: -1},
		"bytes sent":        Progress{Number: 1, Deployment: "d", State: deployment.Done, Sent: -1},
		"bytes received":    Progress{Number: 1, Deployment: "d", State: deployment.Done, Received: -1},
		"attributes":        Describe{1, true, attributes},
		"attribute":         Describe{1, true, inventory.Attributes{"a": long(inventory.MaxValue)}},
		"list in a list":    Describe{1, true, inventory.Attributes{"a": []any{[]any{}}}},
		"long list":         Describe{1, true, inventory.Attributes{"a": make([]any, maxArray+1)}},
		"not UTF-8":         Describe{1, true, inventory.Attributes{"a": []any{"\xff"}}},
		"inventory":         Describe{1, true, inventory.Attributes{"a": long(16000), "b": long(16000), "c": long(16000), "d": long(16000)}},
		"piece":             Log{1, "d", 0, MaxPiece + 1, make([]byte, MaxPiece+1)},
		"log":               Log{1, "d", fleet.MaxLog, fleet.MaxLog + 1, []byte{0}},
		"wait":              Ack{KindLog, 1, ResultBusy, MaxWait + 1},
		"agent":             Hello{1, long(MaxAgent + 1), nonce(1)},
		"message limit":     Welcome{1, nonce(1), Limits{MaxMessage + 1, 8, 60}},
		"small message":     Welcome{1, nonce(1), Limits{MinMessageLimit - 1, 8, 60}},
		"window":            Welcome{1, nonce(1), Limits{MaxMessage, MaxWindow + 1, 60}},
		"no window":         Welcome{1, nonce(1), Limits{MaxMessage, 0, 60}},
		"keys":              Answer{nonce(1), StandingAccepted, make([]ServerKey, MaxKeys+1), 0},
		"no keys":           Keys{1, nil},
		"5 keys":            Keys{1, append(accepted().Keys, accepted().Keys...)},
		"half of the keys":  Keys{1, []ServerKey{{P256, make([]byte, 65)}}},
		"keys for pending":  Answer{nonce(1), StandingPending, accepted().Keys, 0},
		"standing":          Answer{nonce(1), 4, nil, 0},
		"half a key":        Answer{nonce(1), StandingAccepted, []ServerKey{{X25519, make([]byte, 31)}}, 0},
		"low order":         Answer{nonce(1), StandingAccepted, []ServerKey{{X25519, make([]byte, 32)}}, 0},
		"no point":          Answer{nonce(1), StandingAccepted, []ServerKey{{P256, make([]byte, 65)}}, 0},
		"suite of a key":    Answer{nonce(1), StandingAccepted, []ServerKey{{3, make([]byte, 32)}}, 0},
	} {
		if _, err := encode(nil, m); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: encode = %v, want ErrMessage", name, err)
		}
	}
}

// TestWordsOfTheFleet: what the fleet says comes back as it was, and text that
// is too long is cut at a character.
func TestWordsOfTheFleet(t *testing.T) {
	p := fleet.Progress{Deployment: "d", State: deployment.Trying, Detail: "self-test", Bytes: 7}
	if got := NewProgress(1, p).Fleet(); got != p {
		t.Errorf("NewProgress(%+v).Fleet() = %+v", p, got)
	}
	p.Detail = strings.Repeat("a", deployment.MaxDetail-1) + "é"
	if got := NewProgress(1, p); got.Detail != p.Detail[:deployment.MaxDetail-1] {
		t.Errorf("a detail of %d bytes became %d bytes", len(p.Detail), len(got.Detail))
	}
	r := fleet.Report{Type: "t", Provides: map[string]string{"a": "b"}}
	if got := (CheckIn{1, r.Type, r.Provides}).Report(); !reflect.DeepEqual(got, r) {
		t.Errorf("Report() = %+v, want %+v", got, r)
	}
	if got := (Time{1795402315}).Time(); !got.Equal(welcome().Time()) || got.Unix() != 1795402315 {
		t.Errorf("Time() = %v", got)
	}
	if l := (Log{1, "d", 4, 8, []byte("abcd")}); !l.Last() {
		t.Errorf("%+v is not the last piece", l)
	}
	if l := (Log{1, "d", 0, 8, []byte("abcd")}); l.Last() {
		t.Errorf("%+v is the last piece", l)
	}
}
