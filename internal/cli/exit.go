package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/moult-ota/moult/internal/api/client"
)

// Exit codes. Scripts branch on them, so they do not change.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitAuth        = 4
	exitConflict    = 5
	exitFailures    = 6 // a deployment ended, and not every device did what it should
	exitTimeout     = 7 // --timeout passed while waiting
	exitVerify      = 8 // a signature or digest is wrong
	exitInterrupted = 130
)

const exitHelp = `Exit codes:
  0  ok
  1  error
  2  usage
  3  not found
  4  not logged in, or not allowed
  5  conflict, or changed meanwhile
  6  deployment finished with failures
  7  timeout while waiting
  8  verification failed
  130  interrupted`

// A coded error knows its exit code. Commands of other packages may return
// errors with a method ExitCode of their own.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// ExitCode is the code that the program ends with.
func (c coded) ExitCode() int { return c.code }

func exit(code int, format string, args ...any) error {
	return coded{fmt.Errorf(format, args...), code}
}

func usage(format string, args ...any) error { return exit(exitUsage, format, args...) }

// byCode maps the server's problems to exit codes and to what to do next.
var byCode = map[string]struct {
	exit int
	hint string
}{
	"unauthenticated":      {exitAuth, "log in with: moult login URL --token-stdin"},
	"forbidden":            {exitAuth, "use a token with that scope; an admin makes one with: moult token create"},
	"not_found":            {exitNotFound, "the list command beside this one shows what there is"},
	"conflict":             {exitConflict, ""},
	"in_use":               {exitConflict, "abort the deployment first: moult deploy list --status active"},
	"precondition_failed":  {exitConflict, "look at it again and decide again"},
	"idempotency_mismatch": {exitConflict, ""},
	"artifact_refused":     {exitVerify, "look at the file with: moult artifact read FILE"},
	"invalid":              {exitUsage, ""},
	"busy":                 {exitError, "try again in a moment"},
}

// codeOf is the exit code for an error and a hint, which may be empty.
func codeOf(err error) (code int, hint string) {
	var own interface{ ExitCode() int }
	var netErr *net.OpError
	known, ok := byCode[client.Code(err)]
	switch {
	case err == nil:
		return exitOK, ""
	case errors.As(err, &own):
		return own.ExitCode(), ""
	case ok:
		return known.exit, known.hint
	case errors.Is(err, context.Canceled):
		return exitInterrupted, ""
	case errors.As(err, &netErr):
		return exitError, "is the server running, and is this its address? MOULT_SERVER and `moult context list` say which one is asked"
	}
	return exitError, ""
}

// report prints an error and its hint, and returns the exit code.
func report(w io.Writer, err error) int {
	code, hint := codeOf(err)
	if err == nil {
		return code
	}
	fmt.Fprintf(w, "moult: %v\n", err)
	if hint != "" {
		fmt.Fprintf(w, "  %s\n", hint)
	}
	return code
}
