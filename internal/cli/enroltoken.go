package cli

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/internal/api/client"
)

func (p *program) enrolTokenCommand() *cobra.Command {
	return group(&cobra.Command{Use: "enrol-token", Aliases: []string{"enroll-token"}, Short: "Tokens that let devices in without a question"},
		p.enrolTokenCreate(), p.enrolTokenList(), p.enrolTokenDelete())
}

func (p *program) enrolTokenCreate() *cobra.Command {
	var body client.NewEnrolmentToken
	var life time.Duration
	c := &cobra.Command{Use: "create NAME", Short: "Make an enrolment token; its secret is shown once", Args: takes("NAME")}
	c.Flags().Int64Var(&body.Uses, "uses", 0, "how many devices it may let in; 0 is any number")
	c.Flags().DurationVar(&life, "ttl", 0, "how long it lives, such as 720h; 0 is for ever")
	return p.prints(c, func(c *cobra.Command, args []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		body.Name, body.TTLSeconds = args[0], seconds(life)
		t, err := api.CreateEnrolmentToken(c.Context(), body)
		if err != nil {
			return err
		}
		return printOne(p, t, []field{{"id", t.ID}, {"name", t.Name}, {"expires", until(t.ExpiresAt)}, {"secret", t.Secret}}, t.Secret)
	})
}

// seconds rounds up, so that a short life is not an endless one.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// until says when something ends.
func until(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return ago(t)
}

func (p *program) enrolTokenList() *cobra.Command {
	c := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List enrolment tokens, without their secrets", Args: takes()}
	return p.prints(c, func(c *cobra.Command, _ []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		page, err := api.ListEnrolmentTokens(c.Context())
		if err != nil {
			return err
		}
		return printList(p, page.Items, []column[client.EnrolmentToken]{
			{"ID", func(t client.EnrolmentToken) string { return t.ID }},
			{"NAME", func(t client.EnrolmentToken) string { return t.Name }},
			{"USED", func(t client.EnrolmentToken) string { return used(t) }},
			{"EXPIRES", func(t client.EnrolmentToken) string { return until(t.ExpiresAt) }},
		}, func(t client.EnrolmentToken) string { return t.ID })
	})
}

func used(t client.EnrolmentToken) string {
	n := strconv.FormatInt(t.Used, 10)
	if t.Uses == 0 {
		return n
	}
	return n + "/" + strconv.FormatInt(t.Uses, 10)
}

func (p *program) enrolTokenDelete() *cobra.Command {
	c := &cobra.Command{Use: "delete ID…", Short: "Delete enrolment tokens; devices that used them stay", Args: takesSome("ID")}
	c.RunE = func(c *cobra.Command, args []string) error {
		return p.each(c.Context(), args, "deleted", func(api *client.Client, id string) error {
			return api.DeleteEnrolmentToken(c.Context(), id)
		})
	}
	return c
}
