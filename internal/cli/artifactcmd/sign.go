package artifactcmd

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/cli/usage"
)

type signing struct {
	reading
	key, output string
	force       bool
}

func signCommand() *cobra.Command {
	s := &signing{}
	c := &cobra.Command{Use: "sign FILE", Short: "Sign an artifact, in place or to another file", Args: one("FILE"),
		Long: "Check all sums of an artifact and sign its manifest. Nothing but the signature changes.",
		RunE: func(c *cobra.Command, args []string) error { return s.run(c, args[0]) }}
	f := c.Flags()
	f.StringVarP(&s.key, "key", "k", "", "private key (PEM) to sign with (required)")
	f.StringVarP(&s.output, "output-path", "o", "", "where to write; default replaces FILE")
	f.BoolVarP(&s.force, "force", "f", false, "replace a signature that is there")
	f.BoolVar(&s.noProgress, "no-progress", false, "no progress bar")
	return c
}

func (s *signing) run(c *cobra.Command, path string) error {
	if s.key == "" {
		return usage.Errorf("sign with which key? --key PRIVATE")
	}
	signer, err := readSigner(s.key)
	if err != nil {
		return err
	}
	report, err := s.read(c, path, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if report.Signed && !s.force {
		return fmt.Errorf("%s is signed already; --force replaces the signature", path)
	}
	if s.output == "" {
		s.output = path
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	return replace(s.output, func(out io.Writer) error { return artifact.Sign(out, in, signer) })
}
