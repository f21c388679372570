package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/internal/api/client"
)

func (p *program) tokenCommand() *cobra.Command {
	return group(&cobra.Command{Use: "token", Short: "Tokens of operators and of programs"},
		p.tokenCreate(), p.tokenList(), p.tokenDelete())
}

func (p *program) tokenCreate() *cobra.Command {
	var body client.NewToken
	var life time.Duration
	c := &cobra.Command{Use: "create NAME", Short: "Make a token; its secret is shown once", Args: takes("NAME")}
	c.Flags().StringSliceVar(&body.Scopes, "scope", []string{"read"}, "what it may do: read, deploy, release, device, admin")
	c.Flags().DurationVar(&life, "ttl", 0, "how long it lives, such as 2160h; 0 is for ever")
	return p.prints(c, func(c *cobra.Command, args []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		body.Name, body.TTLSeconds = args[0], seconds(life)
		t, err := api.CreateToken(c.Context(), body)
		if err != nil {
			return err
		}
		return printOne(p, t, []field{
			{"id", t.ID}, {"name", t.Name}, {"scopes", strings.Join(t.Scopes, ", ")}, {"expires", until(t.ExpiresAt)}, {"secret", t.Secret},
		}, t.Secret)
	})
}

func (p *program) tokenList() *cobra.Command {
	c := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List tokens, without their secrets", Args: takes()}
	return p.prints(c, func(c *cobra.Command, _ []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		page, err := api.ListTokens(c.Context())
		if err != nil {
			return err
		}
		return printList(p, page.Items, []column[client.Token]{
			{"ID", func(t client.Token) string { return t.ID }},
			{"NAME", func(t client.Token) string { return t.Name }},
			{"SCOPES", func(t client.Token) string { return strings.Join(t.Scopes, ",") }},
			{"EXPIRES", func(t client.Token) string { return until(t.ExpiresAt) }},
		}, func(t client.Token) string { return t.ID })
	})
}

func (p *program) tokenDelete() *cobra.Command {
	c := &cobra.Command{Use: "delete ID…", Short: "Delete tokens; they stop working at once", Args: takesSome("ID")}
	c.RunE = func(c *cobra.Command, args []string) error {
		return p.each(c.Context(), args, "deleted", func(api *client.Client, id string) error {
			return api.DeleteToken(c.Context(), id)
		})
	}
	return c
}
