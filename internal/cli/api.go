package cli

import (
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) apiCommand() *cobra.Command {
	var input string
	c := &cobra.Command{
		Use: "api METHOD PATH", Short: "Send any request to the operator API and print the answer", Args: takes("METHOD", "PATH"),
		Long: "Send any request to the operator API and print the answer, such as: moult api GET /devices/count\n" +
			"The API is described at PATH /openapi.yaml.",
	}
	c.Flags().StringVar(&input, "input", "", "file with the JSON body; - is standard input")
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		var body io.Reader
		switch input {
		case "":
		case "-":
			body = p.in
		default:
			f, err := os.Open(input)
			if err != nil {
				return err
			}
			defer f.Close()
			body = f
		}
		path := args[1]
		if !strings.HasPrefix(path, "/api/") {
			path = "/api/v1/" + strings.TrimPrefix(path, "/")
		}
		answer, err := api.Raw(c.Context(), strings.ToUpper(args[0]), path, body)
		if err != nil {
			return err
		}
		defer answer.Close()
		_, err = io.Copy(p.out, answer)
		return err
	}
	return c
}
