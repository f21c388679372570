package artifactcmd

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/artifact"
)

// A reading is one artifact and how to look at it.
type reading struct {
	keys             []string
	json, noProgress bool
}

func (r *reading) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVarP(&r.keys, "key", "k", nil, "public key (PEM) that must have signed it; repeat to accept any of several")
	f.BoolVar(&r.noProgress, "no-progress", false, "no progress bar")
}

// A sizedFile is one payload file with its size, which only its tar tells.
type sizedFile struct {
	artifact.FileSum
	Size int64 `json:"size"`
}

// A report is a whole artifact, as `read --json` prints it.
type report struct {
	artifact.Header
	Files []sizedFile `json:"files"`
}

// read checks all of an artifact, and calls each for every payload file.
func (r *reading) read(c *cobra.Command, path string, each func(*artifact.File) error) (*report, error) {
	keys, err := readVerifiers(r.keys)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return nil, err
	}
	bar := newProgress(c.ErrOrStderr(), "reading", stat.Size(), r.noProgress)
	defer bar.stop()
	in := bar.reader(f)
	a, err := artifact.NewReader(in, artifact.ReaderOptions{Keys: keys, AllowUnsigned: true, ReadAhead: true})
	if err != nil {
		return nil, verdict(err)
	}
	defer a.Close()
	report := &report{Header: *a.Header(), Files: []sizedFile{}}
	for {
		file, err := a.Next()
		if err == io.EOF {
			return report, nil
		}
		if err != nil {
			return nil, verdict(err)
		}
		report.Files = append(report.Files, sizedFile{artifact.FileSum{Name: file.Name, SHA256: file.SHA256}, file.Size})
		if each == nil {
			continue
		}
		if err := each(file); err != nil {
			return nil, verdict(err)
		}
	}
}

func readCommand() *cobra.Command {
	r := &reading{}
	c := &cobra.Command{Use: "read FILE", Short: "Check an artifact and print what it is", Args: one("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			report, err := r.read(c, args[0], nil)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if r.json {
				return printJSON(c.OutOrStdout(), report)
			}
			printReport(c.OutOrStdout(), report)
			return nil
		}}
	r.flags(c)
	c.Flags().BoolVar(&r.json, "json", false, "print JSON")
	return c
}

// A validity is what `validate --json` prints.
type validity struct {
	Valid    bool          `json:"valid"`
	Name     string        `json:"name,omitempty"`
	Signed   bool          `json:"signed"`
	Verified bool          `json:"verified"`
	Error    string        `json:"error,omitempty"`
	Rule     artifact.Rule `json:"rule,omitempty"`
	Where    string        `json:"where,omitempty"`
}

func validateCommand() *cobra.Command {
	r := &reading{}
	c := &cobra.Command{Use: "validate FILE", Short: "Check an artifact: rules, sums, and with --key its signature", Args: one("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			report, err := r.read(c, args[0], nil)
			if r.json {
				if printErr := printJSON(c.OutOrStdout(), validityOf(report, err)); printErr != nil {
					return printErr
				}
			}
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if !r.json {
				fmt.Fprintf(c.OutOrStdout(), "%s is valid, %s\n", args[0], signatureOf(&report.Header))
			}
			return nil
		}}
	r.flags(c)
	c.Flags().BoolVar(&r.json, "json", false, "print JSON")
	return c
}

func validityOf(r *report, err error) validity {
	if err == nil {
		return validity{Valid: true, Name: r.Name, Signed: r.Signed, Verified: r.Verified}
	}
	v := validity{Error: err.Error()}
	var broken *artifact.RuleError
	if errors.As(err, &broken) {
		v.Rule, v.Where = broken.Rule, broken.Where
	}
	return v
}

func signatureOf(h *artifact.Header) string {
	switch {
	case h.Verified:
		return "signed and verified"
	case h.Signed:
		return "signed, but not verified: give the public key with --key"
	default:
		return "not signed"
	}
}
