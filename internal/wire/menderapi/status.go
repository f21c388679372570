package menderapi

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
)

// MaxSubstate bounds the substate that we send, in bytes; Mender's server
// keeps no more. A substate that we read may be longer.
const MaxSubstate = 200

// A Status is a device's report on its deployment.
type Status struct {
	Status   string `json:"status"`
	Substate string `json:"substate,omitempty"`
}

// mark begins a substate that says more than Mender's statuses can:
//
//	"moult:" state [" bytes=" decimal] [" " detail]
const mark = "moult:"

// states are Mender's statuses in our words. A pause comes before the step
// that it names, so the device is still in the one before.
var states = map[string]deployment.State{
	"downloading":             deployment.Downloading,
	"pause_before_installing": deployment.Downloading,
	"installing":              deployment.Installing,
	"pause_before_rebooting":  deployment.Installing,
	"rebooting":               deployment.Rebooting,
	"pause_before_committing": deployment.Trying,
	"success":                 deployment.Done,
	"failure":                 deployment.Failed,
	"already-installed":       deployment.Skipped,
}

// statuses are our states in Mender's words. Those that share a status with
// another are told apart by the mark.
var statuses = map[deployment.State]string{
	deployment.Downloading: "downloading",
	deployment.Installing:  "installing",
	deployment.Rebooting:   "rebooting",
	deployment.Trying:      "installing",
	deployment.Done:        "success",
	deployment.Failed:      "failure",
	deployment.RolledBack:  "failure",
	deployment.Refused:     "failure",
	deployment.Skipped:     "already-installed",
}

// NewStatus puts progress into the words of the wire. States that no device
// reports are an error.
func NewStatus(p fleet.Progress) (Status, error) {
	status, ok := statuses[p.State]
	if !ok {
		return Status{}, fmt.Errorf("report progress: %w: %q", deployment.ErrState, p.State)
	}
	substate := strings.ToValidUTF8(p.Detail, "\ufffd")
	if states[status] != p.State || p.Bytes > 0 || strings.HasPrefix(substate, mark) {
		substate = marked(p, substate)
	}
	return Status{status, cut(substate, MaxSubstate)}, nil
}

func marked(p fleet.Progress, detail string) string {
	s := mark + string(p.State)
	if p.Bytes > 0 || strings.HasPrefix(detail, "bytes=") {
		s += " bytes=" + strconv.FormatInt(p.Bytes, 10)
	}
	if detail != "" {
		s += " " + detail
	}
	return s
}

// Progress is the report in the words of the fleet. A mark counts only when
// its state belongs to the status beside it.
func (s Status) Progress(d deployment.ID) (fleet.Progress, error) {
	state, ok := states[s.Status]
	if !ok {
		return fleet.Progress{}, fmt.Errorf("%w: status %.32q", ErrSyntax, s.Status)
	}
	p := fleet.Progress{Deployment: d, State: state, Detail: cut(s.Substate, deployment.MaxDetail)}
	if strings.HasPrefix(s.Status, "pause_") && p.Detail == "" {
		p.Detail = s.Status
	}
	if rest, ok := strings.CutPrefix(p.Detail, mark); ok {
		p = unmark(p, s.Status, rest)
	}
	return p, nil
}

func unmark(p fleet.Progress, status, text string) fleet.Progress {
	word, text, _ := strings.Cut(text, " ")
	state := deployment.State(word)
	if statuses[state] != status {
		return p
	}
	p.State, p.Detail = state, text
	if digits, ok := strings.CutPrefix(text, "bytes="); ok {
		digits, text, _ := strings.Cut(digits, " ")
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n >= 0 {
			p.Bytes, p.Detail = n, text
		}
	}
	return p
}

// cut shortens s to at most n bytes, at the end of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Append appends the body for StatusPath.
func (s Status) Append(dst []byte) []byte { return appendJSON(dst, s) }

// ParseStatus reads the body that was sent to StatusPath.
func ParseStatus(src []byte) (Status, error) {
	var s Status
	if err := parse(src, MaxStatusBody, &s); err != nil {
		return Status{}, err
	}
	if _, ok := states[s.Status]; !ok {
		return Status{}, fmt.Errorf("%w: status %.32q", ErrSyntax, s.Status)
	}
	return s, nil
}
