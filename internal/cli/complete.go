package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/internal/api/client"
)

// completeTime is how long a shell waits for suggestions.
const completeTime = 2 * time.Second

func (p *program) complete(c *cobra.Command, list func(context.Context, *client.Client) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(c.Context(), completeTime)
	defer cancel()
	api, err := p.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	api.Tries = 1
	names, _ := list(ctx, api) // no suggestions is an answer too
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (p *program) completeDevices(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return p.complete(c, func(ctx context.Context, api *client.Client) (ids []string, err error) {
		page, err := api.ListDevices(ctx, client.ListDevicesParams{Limit: listLimit})
		for _, d := range page.Items {
			ids = append(ids, d.ID+"\t"+pairs(d.Identity))
		}
		return ids, err
	})
}

func (p *program) completeReleases(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return p.complete(c, func(ctx context.Context, api *client.Client) (names []string, err error) {
		page, err := api.ListReleases(ctx, client.ListReleasesParams{Limit: listLimit})
		for _, r := range page.Items {
			names = append(names, r.Name)
		}
		return names, err
	})
}

func (p *program) completeDeployments(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return p.complete(c, func(ctx context.Context, api *client.Client) (ids []string, err error) {
		page, err := api.ListDeployments(ctx, client.ListDeploymentsParams{Limit: listLimit})
		for _, d := range page.Items {
			ids = append(ids, d.ID+"\t"+d.Name+" "+d.Status)
		}
		return ids, err
	})
}
