package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/internal/api/client"
)

func (p *program) deployCommand() *cobra.Command {
	return group(&cobra.Command{Use: "deploy", Aliases: []string{"deployment"}, Short: "Send releases to devices and watch them arrive"},
		p.deployCreate(), p.deployWatch(), p.deployList(), p.deployShow(), p.deployAbort(), p.deployRetry(), p.deployLog())
}

// waiting is how a command waits for a deployment.
type waiting struct {
	wait    bool
	timeout time.Duration
}

func (w *waiting) flags(c *cobra.Command) {
	c.Flags().DurationVar(&w.timeout, "timeout", 0, "give up waiting after this, such as 30m; 0 waits for ever")
}

func (p *program) deployCreate() *cobra.Command {
	var body client.NewDeployment
	var w waiting
	c := &cobra.Command{
		Use: "create RELEASE", Short: "Send a release to devices", Args: takes("RELEASE"), ValidArgsFunction: p.completeReleases,
		Long: "Send a release to devices. Which ones is fixed now: say exactly one of --all, --type, --device and --filter.",
	}
	f := c.Flags()
	f.BoolVar(&body.Target.All, "all", false, "every accepted device")
	f.StringVar(&body.Target.Type, "type", "", "every accepted device of this type")
	f.StringArrayVar(&body.Target.Devices, "device", nil, "this device; may be repeated")
	f.StringVar(&body.Target.Filter, "filter", "", "accepted devices whose inventory matches now")
	f.StringVar(&body.Name, "name", "", "for people; the release's name when left out")
	f.Int64Var(&body.Retries, "retries", 0, "fresh attempts that a device gets after it failed or rolled back")
	f.BoolVar(&w.wait, "wait", false, "wait until the deployment ends; exit 6 when devices failed")
	w.flags(c)
	return p.prints(c, func(c *cobra.Command, args []string) error {
		if err := oneTarget(body.Target); err != nil {
			return err
		}
		api, err := p.connect()
		if err != nil {
			return err
		}
		body.Release = args[0]
		d, err := api.CreateDeployment(c.Context(), body, client.CreateDeploymentParams{})
		if err != nil {
			return err
		}
		if d.Size == 0 {
			p.say("warning: no device matches now; `moult device list` shows each one's type, which is known once it checked in")
		}
		if w.wait {
			p.say("deployment %s: %s to %d devices", d.ID, d.Release, d.Size)
			return p.watch(c.Context(), api, d.ID, w)
		}
		return printDeployment(p, d)
	})
}

func oneTarget(t client.Target) error {
	n := 0
	for _, said := range []bool{t.All, t.Type != "", len(t.Devices) > 0, t.Filter != ""} {
		if said {
			n++
		}
	}
	if n != 1 {
		return usage("say exactly one of --all, --type, --device and --filter")
	}
	return nil
}

func printDeployment(p *program, d client.Deployment) error {
	return printOne(p, d, []field{
		{"id", d.ID}, {"name", d.Name}, {"release", d.Release}, {"status", d.Status}, {"devices", strconv.FormatInt(d.Size, 10)},
		{"states", states(d.Counts)}, {"retries", strconv.FormatInt(d.Retries, 10)}, {"created", ago(&d.CreatedAt)},
		{"by", d.CreatedBy}, {"ended", finished(d)},
	}, d.ID)
}

func finished(d client.Deployment) string {
	if d.FinishedAt == nil {
		return ""
	}
	return ago(d.FinishedAt)
}

func (p *program) deployWatch() *cobra.Command {
	var w waiting
	c := &cobra.Command{Use: "watch ID", Short: "Watch a deployment until it ends; Ctrl-C only stops watching", Args: takes("ID"), ValidArgsFunction: p.completeDeployments}
	w.flags(c)
	return p.prints(c, func(c *cobra.Command, args []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		return p.watch(c.Context(), api, args[0], w)
	})
}

func (p *program) deployList() *cobra.Command {
	var q client.ListDeploymentsParams
	var limit int
	c := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List deployments, the newest first", Args: takes()}
	c.Flags().StringVar(&q.Status, "status", "", "only active, finished or aborted")
	c.Flags().StringVar(&q.Release, "release", "", "only of this release")
	return p.prints(limited(c, &limit), func(c *cobra.Command, _ []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		list, err := collect(p, limit, func(size int64, cursor string) ([]client.Deployment, string, error) {
			q.Limit, q.Cursor = size, cursor
			page, err := api.ListDeployments(c.Context(), q)
			return page.Items, page.NextCursor, err
		})
		if err != nil {
			return err
		}
		return printList(p, list, []column[client.Deployment]{
			{"ID", func(d client.Deployment) string { return d.ID }},
			{"STATUS", func(d client.Deployment) string { return d.Status }},
			{"RELEASE", func(d client.Deployment) string { return d.Release }},
			{"DEVICES", func(d client.Deployment) string { return strconv.FormatInt(d.Size, 10) }},
			{"STATES", func(d client.Deployment) string { return states(d.Counts) }},
			{"CREATED", func(d client.Deployment) string { return ago(&d.CreatedAt) }},
		}, func(d client.Deployment) string { return d.ID })
	})
}

var assignmentColumns = []column[client.Assignment]{
	{"DEVICE", func(a client.Assignment) string { return a.Device }},
	{"STATE", func(a client.Assignment) string { return a.State }},
	{"ATTEMPT", func(a client.Assignment) string { return strconv.FormatInt(a.Attempt, 10) }},
	{"LOG", func(a client.Assignment) string { return map[bool]string{true: "yes"}[a.HasLog] }},
	{"SINCE", func(a client.Assignment) string { return ago(&a.UpdatedAt) }},
	{"DETAIL", func(a client.Assignment) string { return a.Detail }},
}

func (p *program) deployShow() *cobra.Command {
	var devices bool
	var state string
	var limit int
	c := &cobra.Command{Use: "show ID", Short: "Show a deployment, or with --devices each device's part", Args: takes("ID"), ValidArgsFunction: p.completeDeployments}
	c.Flags().BoolVar(&devices, "devices", false, "list the devices and where each stands")
	c.Flags().StringVar(&state, "state", "", "with --devices: only those in this state")
	return p.prints(limited(c, &limit), func(c *cobra.Command, args []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		if !devices && state == "" {
			d, err := api.ShowDeployment(c.Context(), args[0])
			if err != nil {
				return err
			}
			return printDeployment(p, d)
		}
		list, err := collect(p, limit, func(size int64, cursor string) ([]client.Assignment, string, error) {
			page, err := api.ListAssignments(c.Context(), args[0], client.ListAssignmentsParams{State: state, Limit: size, Cursor: cursor})
			return page.Items, page.NextCursor, err
		})
		if err != nil {
			return err
		}
		return printList(p, list, assignmentColumns, func(a client.Assignment) string { return a.Device })
	})
}

func (p *program) deployAbort() *cobra.Command {
	c := &cobra.Command{Use: "abort ID", Short: "Stop a deployment: devices that have not ended are canceled", Args: takes("ID"), ValidArgsFunction: p.completeDeployments}
	return p.prints(c, func(c *cobra.Command, args []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		d, err := api.AbortDeployment(c.Context(), args[0], client.AbortDeploymentParams{})
		if err != nil {
			return err
		}
		return printDeployment(p, d)
	})
}

func (p *program) deployRetry() *cobra.Command {
	c := &cobra.Command{Use: "retry ID", Short: "Give failed and rolled-back devices a fresh attempt", Args: takes("ID"), ValidArgsFunction: p.completeDeployments}
	return p.prints(c, func(c *cobra.Command, args []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		r, err := api.RetryDeployment(c.Context(), args[0], client.RetryDeploymentParams{})
		if err != nil {
			return err
		}
		n := strconv.FormatInt(r.Devices, 10)
		return printOne(p, r, []field{{"devices", n}}, n)
	})
}

func (p *program) deployLog() *cobra.Command {
	var steps bool
	c := &cobra.Command{Use: "log ID DEVICE", Short: "Print a device's log of a deployment, or with --steps the steps it took", Args: takes("ID", "DEVICE")}
	c.Flags().BoolVar(&steps, "steps", false, "the steps that the server saw instead of the device's log")
	return p.prints(c, func(c *cobra.Command, args []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		if steps {
			page, err := api.ListTransitions(c.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return printList(p, page.Items, []column[client.Transition]{
				{"AT", func(t client.Transition) string { return ago(&t.At) }},
				{"FROM", func(t client.Transition) string { return t.From }},
				{"TO", func(t client.Transition) string { return t.To }},
				{"DETAIL", func(t client.Transition) string { return t.Detail }},
			}, func(t client.Transition) string { return t.To })
		}
		log, err := api.ShowLog(c.Context(), args[0], args[1])
		if err != nil {
			return err
		}
		defer log.Close()
		_, err = io.Copy(p.out, log)
		return err
	})
}

// ladder is the order in which states are said.
var ladder = []string{"pending", "offered", "downloading", "installing", "rebooting", "trying",
	"done", "failed", "rolled-back", "refused", "canceled", "skipped"}

func states(counts map[string]int64) string {
	var parts []string
	for _, s := range ladder {
		if n := counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", s, n))
		}
	}
	return strings.Join(parts, ", ")
}
