package menderapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// MaxMessages bounds one log. A body of MaxLogBody bytes holds no more, as
// long as its messages say something.
const MaxMessages = 20_000

// A Message is one line of a deployment log.
type Message struct {
	At    time.Time // zero when the device did not know
	Level string    // the device's word for it; empty when it did not say
	Text  string
}

type logBody struct {
	Messages messages `json:"messages"`
}

type messages []logMessage

type logMessage struct {
	Timestamp loose `json:"timestamp"`
	Level     loose `json:"level"`
	Message   loose `json:"message"`
}

// loose is text, or whatever else a device put in its place; null is empty.
type loose string

func (l *loose) UnmarshalJSON(src []byte) error {
	if src[0] == '"' {
		return json.Unmarshal(src, (*string)(l))
	}
	if string(src) != "null" {
		*l = loose(src)
	}
	return nil
}

// UnmarshalJSON stops a list that is long and empty before it fills memory.
func (m *messages) UnmarshalJSON(src []byte) error {
	if n := bytes.Count(src, []byte("{")); n > MaxMessages {
		// Braces may stand in texts too: count what is there.
		var raw []struct{}
		if err := json.Unmarshal(src, &raw); err != nil {
			return err
		}
		if len(raw) > MaxMessages {
			return fmt.Errorf("%d messages, at most %d", len(raw), MaxMessages)
		}
	}
	return json.Unmarshal(src, (*[]logMessage)(m))
}

// AppendLog appends the body for LogPath.
func AppendLog(dst []byte, log []Message) []byte {
	body := logBody{Messages: make(messages, len(log))}
	for i, m := range log {
		at := m.At.UTC().Format(time.RFC3339Nano)
		body.Messages[i] = logMessage{loose(at), loose(m.Level), loose(m.Text)}
	}
	return appendJSON(dst, body)
}

// ParseLog reads the body that was sent to LogPath. It is lenient, for a log
// is worth most when things go wrong: levels and times may be missing, and a
// time that cannot be read goes before the text.
func ParseLog(src []byte) ([]Message, error) {
	var body logBody
	if err := parse(src, MaxLogBody, &body); err != nil {
		return nil, err
	}
	if len(body.Messages) == 0 {
		return nil, fmt.Errorf("%w: log has no messages", ErrSyntax)
	}
	log := make([]Message, len(body.Messages))
	for i, m := range body.Messages {
		log[i] = m.message()
	}
	return log, nil
}

func (m logMessage) message() Message {
	at, ok := parseTime(string(m.Timestamp))
	if !ok && m.Timestamp != "" {
		m.Message = m.Timestamp + " " + m.Message
	}
	return Message{at, string(m.Level), string(m.Message)}
}

// layouts are the times that devices write; Zephyr's has a comma before the
// fraction, which time.Parse takes for a dot.
var layouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05"}

func parseTime(s string) (time.Time, bool) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// AppendText appends the log as people read it, a line for each message.
func AppendText(dst []byte, log []Message) []byte {
	for _, m := range log {
		if !m.At.IsZero() {
			dst = m.At.AppendFormat(dst, "2006-01-02T15:04:05.999999Z07:00 ")
		}
		if m.Level != "" {
			dst = append(append(dst, m.Level...), ' ')
		}
		dst = append(append(dst, strings.TrimRight(m.Text, "\r\n")...), '\n')
	}
	return dst
}
