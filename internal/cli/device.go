package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/internal/api/client"
)

func (p *program) deviceCommand() *cobra.Command {
	return group(&cobra.Command{Use: "device", Aliases: []string{"devices"}, Short: "Look at devices, let them in or turn them away"},
		p.deviceList(), p.deviceShow(), p.deviceCount(),
		p.deviceStatus("accept", "accepted", "Let devices take part in deployments"),
		p.deviceStatus("reject", "rejected", "Turn devices away; they may be accepted later"),
		p.devicePreauthorize(), p.deviceDecommission())
}

var deviceColumns = []column[client.Device]{
	{"ID", func(d client.Device) string { return d.ID }},
	{"STATUS", func(d client.Device) string { return d.Status }},
	{"TYPE", func(d client.Device) string { return d.Type }},
	{"RELEASE", func(d client.Device) string { return d.Release }},
	{"SEEN", func(d client.Device) string { return ago(d.SeenAt) }},
	{"IDENTITY", func(d client.Device) string { return pairs(d.Identity) }},
}

func pairs(m map[string]any) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s=%v", k, m[k]))
	}
	return strings.Join(parts, " ")
}

func (p *program) deviceList() *cobra.Command {
	var q client.ListDevicesParams
	var limit int
	c := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List devices", Args: takes()}
	c.Flags().StringVar(&q.Status, "status", "", "only pending, accepted, rejected, preauthorized or decommissioned")
	c.Flags().StringVar(&q.Type, "type", "", "only this device type")
	c.Flags().StringVar(&q.Release, "release", "", "only devices that run it")
	c.Flags().StringVar(&q.Filter, "filter", "", "only devices whose inventory matches")
	return p.prints(limited(c, &limit), func(c *cobra.Command, _ []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		list, err := collect(p, limit, func(size int64, cursor string) ([]client.Device, string, error) {
			q.Limit, q.Cursor = size, cursor
			page, err := api.ListDevices(c.Context(), q)
			return page.Items, page.NextCursor, err
		})
		if err != nil {
			return err
		}
		return printList(p, list, deviceColumns, func(d client.Device) string { return d.ID })
	})
}

func (p *program) deviceShow() *cobra.Command {
	c := &cobra.Command{Use: "show ID", Short: "Show all that is known of a device", Args: takes("ID"), ValidArgsFunction: p.completeDevices}
	return p.prints(c, func(c *cobra.Command, args []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		d, err := api.ShowDevice(c.Context(), args[0], client.ShowDeviceParams{})
		if err != nil {
			return err
		}
		return printOne(p, d, deviceFields(d), d.ID)
	})
}

func deviceFields(d client.DeviceDetail) []field {
	f := []field{
		{"id", d.ID}, {"identity", pairs(d.Identity)}, {"status", d.Status}, {"type", d.Type}, {"release", d.Release},
		{"parent", d.Parent}, {"created", ago(&d.CreatedAt)}, {"seen", ago(d.SeenAt)},
	}
	for _, k := range d.Keys {
		f = append(f, field{"key", k.Fingerprint + " " + k.Status})
	}
	for _, name := range slices.Sorted(maps.Keys(d.Provides)) {
		f = append(f, field{"provides", name + "=" + d.Provides[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(d.Inventory)) {
		f = append(f, field{"inventory", fmt.Sprintf("%s=%v", name, d.Inventory[name])})
	}
	for _, a := range d.Assignments {
		f = append(f, field{"deployment", strings.TrimSpace(a.Deployment + " " + a.State + " " + a.Detail)})
	}
	return f
}

func (p *program) deviceCount() *cobra.Command {
	c := &cobra.Command{Use: "count", Short: "Count devices by status", Args: takes()}
	return p.prints(c, func(c *cobra.Command, _ []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		n, err := api.CountDevices(c.Context())
		if err != nil {
			return err
		}
		var fields []field
		for _, status := range slices.Sorted(maps.Keys(n.Counts)) {
			fields = append(fields, field{status, strconv.FormatInt(n.Counts[status], 10)})
		}
		total := strconv.FormatInt(n.Total, 10)
		return printOne(p, n, append(fields, field{"total", total}), total)
	})
}

// each calls do for every id, says what was done, and goes on after errors.
func (p *program) each(ctx context.Context, ids []string, done string, do func(api *client.Client, id string) error) error {
	api, err := p.connect()
	if err != nil {
		return err
	}
	var first error
	for _, id := range ids {
		err := do(api, id)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			p.say("%s %s", id, done)
		case first == nil:
			first = fmt.Errorf("%s: %w", id, err)
		default:
			p.say("moult: %s: %v", id, err)
		}
	}
	return first
}

func (p *program) deviceStatus(verb, status, short string) *cobra.Command {
	var fingerprint string
	c := &cobra.Command{Use: verb + " ID…", Short: short, Args: takesSome("ID"), ValidArgsFunction: p.completeDevices}
	c.Flags().StringVar(&fingerprint, "fingerprint", "", "which of the device's keys; the newest when left out")
	c.RunE = func(c *cobra.Command, args []string) error {
		return p.each(c.Context(), args, status, func(api *client.Client, id string) error {
			return api.SetDeviceStatus(c.Context(), id, client.NewStatus{Status: status, Fingerprint: fingerprint}, client.SetDeviceStatusParams{})
		})
	}
	return c
}

func (p *program) deviceDecommission() *cobra.Command {
	c := &cobra.Command{Use: "decommission ID…", Short: "Let devices go for good; their history stays", Args: takesSome("ID"), ValidArgsFunction: p.completeDevices}
	c.RunE = func(c *cobra.Command, args []string) error {
		return p.each(c.Context(), args, "decommissioned", func(api *client.Client, id string) error {
			return api.DecommissionDevice(c.Context(), id)
		})
	}
	return c
}

func (p *program) devicePreauthorize() *cobra.Command {
	var identity []string
	var keyFile string
	c := &cobra.Command{Use: "preauthorize", Short: "Expect a device: its first request with this key is accepted", Args: takes()}
	c.Flags().StringArrayVar(&identity, "identity", nil, "NAME=VALUE of what the device will call itself; may be repeated")
	c.Flags().StringVar(&keyFile, "key", "", "file with the device's public key, PEM")
	return p.prints(c, func(c *cobra.Command, _ []string) error {
		attrs, err := parsePairs(identity)
		if err != nil {
			return err
		}
		if keyFile == "" {
			return usage("--key is missing: a file with the device's public key")
		}
		key, err := os.ReadFile(keyFile)
		if err != nil {
			return fmt.Errorf("read key: %w", err)
		}
		api, err := p.connect()
		if err != nil {
			return err
		}
		d, err := api.PreauthorizeDevice(c.Context(), client.NewDevice{Identity: attrs, Key: string(key)}, client.PreauthorizeDeviceParams{})
		if err != nil {
			return err
		}
		return printOne(p, d, []field{{"id", d.ID}}, d.ID)
	})
}

func parsePairs(list []string) (map[string]any, error) {
	attrs := map[string]any{}
	for _, pair := range list {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" || value == "" {
			return nil, usage("--identity %q; want NAME=VALUE, such as mac=00:11:22:33:44:55", pair)
		}
		attrs[name] = value
	}
	if len(attrs) == 0 {
		return nil, usage("--identity is missing, such as --identity mac=00:11:22:33:44:55")
	}
	return attrs, nil
}
