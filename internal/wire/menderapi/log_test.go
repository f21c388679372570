package menderapi

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/fleet"
)

func TestLog(t *testing.T) {
	at := time.Date(2026, 11, 22, 7, 6, 55, 123456000, time.UTC)
	log := []Message{{at, "info", "download <artifact>"}, {time.Time{}, "err", "no space"}}
	body := AppendLog(nil, log)
	want := `{"messages":[{"timestamp":"2026-11-22T07:06:55.123456Z","level":"info","message":"download <artifact>"},` +
		`{"timestamp":"0001-01-01T00:00:00Z","level":"err","message":"no space"}]}`
	if string(body) != want {
		t.Errorf("AppendLog = %s, want %s", body, want)
	}
	if got, err := ParseLog(append(body, '\n')); err != nil || !reflect.DeepEqual(got, log) {
		t.Errorf("ParseLog = %+v, %v, want %+v", got, err, log)
	}
}

func TestLogText(t *testing.T) {
	tests := map[string]struct{ message, want string }{
		"go client":     {`{"level":"info","message":"a","timestamp":"2026-11-22T07:06:55Z"}`, "2026-11-22T07:06:55Z info a\n"},
		"other zone":    {`{"level":"info","message":"a","timestamp":"2026-11-22T07:06:55+01:00"}`, "2026-11-22T06:06:55Z info a\n"},
		"zephyr":        {`{"level":"wrn","message":"a","timestamp":"2026-01-20T12:34:56,123456Z"}`, "2026-01-20T12:34:56.123456Z wrn a\n"},
		"no zone":       {`{"level":"dbg","message":"a","timestamp":"2026-01-20 12:34:56"}`, "2026-01-20T12:34:56Z dbg a\n"},
		"nulls":         {`{"level":null,"message":"a","timestamp":null}`, "a\n"},
		"nothing":       {`{}`, "\n"},
		"uptime":        {`{"level":"inf","message":"a","timestamp":"00:01:02"}`, "inf 00:01:02 a\n"},
		"numbers":       {`{"level":6,"message":"a","timestamp":17}`, "6 17 a\n"},
		"newline twice": {`{"message":"a\r\n"}`, "a\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			log, err := ParseLog([]byte(`{"messages":[` + tt.message + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(AppendText(nil, log)); got != tt.want {
				t.Errorf("AppendText = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseLogRefuses(t *testing.T) {
	tests := map[string]struct {
		body string
		want error
	}{
		"empty":       {`{"messages":[]}`, ErrSyntax},
		"no messages": {`{}`, ErrSyntax},
		"no list":     {`{"messages":{}}`, ErrSyntax},
		"too many":    {`{"messages":[{}` + strings.Repeat(",{}", MaxMessages) + `]}`, ErrSyntax},
		"too long":    {strings.Repeat(" ", MaxLogBody+1), fleet.ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if log, err := ParseLog([]byte(tt.body)); !errors.Is(err, tt.want) {
				t.Errorf("ParseLog = %d messages, %v, want %v", len(log), err, tt.want)
			}
		})
	}
}

func TestParseLogCountsMessagesNotBraces(t *testing.T) {
	body := `{"messages":[{"message":"` + strings.Repeat("{", MaxMessages+1) + `"}]}`
	if log, err := ParseLog([]byte(body)); err != nil || len(log) != 1 {
		t.Errorf("ParseLog = %d messages, %v, want 1", len(log), err)
	}
}
