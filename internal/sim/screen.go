package sim

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
)

// A Row is one device on the screen.
type Row struct {
	Name    string
	Slots   [2]string // version in slot A and B; empty for none
	Running int       // index of the slot that runs, -1 while off
	State   deployment.State
	Part    float64 // of the artifact, 0 to 1
	Cut     bool    // its power was pulled a moment ago
}

// A Screen shows the fleet: a table redrawn in place on a terminal, lines
// that say what changed otherwise.
type Screen struct {
	mu     sync.Mutex
	w      io.Writer
	live   bool
	width  int
	height int
	began  time.Time
	title  string
	drawn  int // lines of the last table
}

// NewScreen writes to w; live says that w is a terminal of that size.
func NewScreen(w io.Writer, live bool, width, height int, began time.Time) *Screen {
	return &Screen{w: w, live: live, width: width, height: height, began: began}
}

// Say prints a line that stays.
func (s *Screen) Say(now time.Time, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprintf(s.w, "%5.1fs  %s\n", now.Sub(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// Print prints text that stays, as it is.
func (s *Screen) Print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprint(s.w, text)
}

// Title names what is going on above the table.
func (s *Screen) Title(title string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.title = title
}

// Draw redraws the table on a terminal; elsewhere it draws nothing.
func (s *Screen) Draw(rows []Row) {
	if !s.live {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	lines := s.table(rows)
	fmt.Fprint(s.w, strings.Join(lines, "\n"), "\n")
	s.drawn = len(lines)
}

// erase takes the last table away.
func (s *Screen) erase() {
	if s.drawn > 0 {
		fmt.Fprintf(s.w, "\x1b[%dA\x1b[J", s.drawn)
		s.drawn = 0
	}
}

// table fits the rows into the terminal, side by side where there is room.
func (s *Screen) table(rows []Row) []string {
	columns := max(1, s.width/rowWidth)
	room := max(1, s.height-4)
	perColumn := (len(rows) + columns - 1) / columns
	hidden := 0
	if perColumn > room {
		hidden = len(rows) - room*columns
		perColumn = room
	}
	lines := []string{"", "\x1b[1m" + s.title + "\x1b[0m"}
	for i := range perColumn {
		var line strings.Builder
		for c := range columns {
			if n := c*perColumn + i; n < len(rows) {
				line.WriteString(rows[n].String())
			}
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
	if hidden > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more", hidden))
	}
	return lines
}

// rowWidth is the room one row takes.
const rowWidth = 62

// String lays a row out in rowWidth cells, colours not counted.
func (r Row) String() string {
	return fmt.Sprintf("%-8s %s %s %s %s%s  ", r.Name, r.slot(0), r.slot(1), r.state(), r.bar(), r.power())
}

func (r Row) slot(i int) string {
	mark, version := " ", r.Slots[i]
	if version == "" {
		version = "-"
	}
	if r.Running == i {
		mark = "▸"
	}
	return fmt.Sprintf("%s%c %-6.6s", mark, 'A'+rune(i), version)
}

func (r Row) bar() string {
	const cells = 12
	full := int(r.Part * cells)
	return strings.Repeat("█", min(full, cells)) + strings.Repeat("░", cells-min(full, cells))
}

func (r Row) power() string {
	if r.Cut {
		return " ⚡"
	}
	return "  "
}

func (r Row) state() string {
	colour := "36" // on its way
	switch r.State {
	case deployment.Done:
		colour = "32"
	case deployment.RolledBack, deployment.Refused, deployment.Skipped:
		colour = "33"
	case deployment.Failed, deployment.Canceled:
		colour = "31"
	}
	return fmt.Sprintf("\x1b[%sm%-11s\x1b[0m", colour, r.State)
}
