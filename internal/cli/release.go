package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/moult-ota/moult/internal/api/client"
)

func (p *program) releaseCommand() *cobra.Command {
	return group(&cobra.Command{Use: "release", Aliases: []string{"releases"}, Short: "Upload releases and look at them"},
		p.releaseUpload(), p.releaseList(), p.releaseShow(), p.releaseDelete())
}

func (p *program) releaseUpload() *cobra.Command {
	var params client.UploadArtifactParams
	c := &cobra.Command{Use: "upload FILE", Short: "Upload an artifact; the server checks it while it arrives", Args: takes("FILE")}
	c.Flags().StringVar(&params.Note, "note", "", "kept with the artifact")
	return p.prints(c, func(c *cobra.Command, args []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		a, err := p.upload(c.Context(), api, args[0], params)
		if err != nil {
			return fmt.Errorf("upload %s: %w", args[0], err)
		}
		return printOne(p, a, artifactFields(a), a.Release)
	})
}

func (p *program) upload(ctx context.Context, api *client.Client, path string, params client.UploadArtifactParams) (client.Artifact, error) {
	f, err := os.Open(path)
	if err != nil {
		return client.Artifact{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return client.Artifact{}, err
	}
	body := &counted{Reader: f, size: st.Size()}
	if p.live() {
		bars := mpb.NewWithContext(ctx, mpb.WithOutput(p.err), mpb.WithWidth(40))
		body.bar = bars.AddBar(st.Size(), mpb.PrependDecorators(decor.Name("upload ")),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.EwmaETA(decor.ET_STYLE_GO, 30)))
		defer bars.Wait()
		defer body.bar.Abort(false)
	}
	return api.UploadArtifact(ctx, body, params)
}

// counted is a file on its way, with the bar that shows it.
type counted struct {
	io.Reader
	size int64
	bar  *mpb.Bar // nil for none
}

// Size lets the client announce the length.
func (c *counted) Size() int64 { return c.size }

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if c.bar != nil {
		c.bar.IncrBy(n)
	}
	return n, err
}

func artifactFields(a client.Artifact) []field {
	return []field{
		{"release", a.Release}, {"id", a.ID}, {"types", strings.Join(a.DeviceTypes, ", ")}, {"payload", a.PayloadType},
		{"size", size(a.Size)}, {"sha256", a.SHA256}, {"signed", strconv.FormatBool(a.Signed)}, {"note", a.Note}, {"created", ago(&a.CreatedAt)},
	}
}

func (p *program) releaseList() *cobra.Command {
	var limit int
	c := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List releases", Args: takes()}
	return p.prints(limited(c, &limit), func(c *cobra.Command, _ []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		list, err := collect(p, limit, func(size int64, cursor string) ([]client.Release, string, error) {
			page, err := api.ListReleases(c.Context(), client.ListReleasesParams{Limit: size, Cursor: cursor})
			return page.Items, page.NextCursor, err
		})
		if err != nil {
			return err
		}
		return printList(p, list, []column[client.Release]{
			{"NAME", func(r client.Release) string { return r.Name }},
			{"ARTIFACTS", func(r client.Release) string { return strconv.Itoa(len(r.Artifacts)) }},
			{"TYPES", func(r client.Release) string { return types(r) }},
			{"CREATED", func(r client.Release) string { return ago(&r.CreatedAt) }},
		}, func(r client.Release) string { return r.Name })
	})
}

func types(r client.Release) string {
	var all []string
	for _, a := range r.Artifacts {
		all = append(all, a.DeviceTypes...)
	}
	return strings.Join(all, ",")
}

func (p *program) releaseShow() *cobra.Command {
	c := &cobra.Command{Use: "show NAME", Short: "Show a release and its artifacts", Args: takes("NAME"), ValidArgsFunction: p.completeReleases}
	return p.prints(c, func(c *cobra.Command, args []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		r, err := api.ShowRelease(c.Context(), args[0])
		if err != nil {
			return err
		}
		fields := []field{{"name", r.Name}, {"created", ago(&r.CreatedAt)}}
		for _, a := range r.Artifacts {
			fields = append(fields, artifactFields(a)[1:]...)
		}
		return printOne(p, r, fields, r.Name)
	})
}

func (p *program) releaseDelete() *cobra.Command {
	c := &cobra.Command{Use: "delete NAME…", Short: "Delete releases that no active deployment uses", Args: takesSome("NAME"), ValidArgsFunction: p.completeReleases}
	c.RunE = func(c *cobra.Command, args []string) error {
		return p.each(c.Context(), args, "deleted", func(api *client.Client, name string) error {
			r, err := api.ShowRelease(c.Context(), name)
			if err != nil {
				return err
			}
			for _, a := range r.Artifacts {
				if err := api.DeleteArtifact(c.Context(), a.ID); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return c
}
