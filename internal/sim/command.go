package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Command is `moult demo`.
func Command() *cobra.Command {
	var o Options
	var keep string
	var verbose bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Update a fleet of virtual devices, here and now",
		Long: `One process: a server, and virtual devices that are each the real agent over
real slot files, a real boot register and the real boot decision. Half of them
use HTTP, half MQTT, and half of those stand behind a gateway's broker. A good
release, a crashing one, one changed on the way, one signed by a stranger and
an outdated one are deployed in turn, while power is pulled and the server
restarted; then two to microcontrollers behind a gateway. Exit code 0 means
that every device ended where it should.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError(fmt.Sprintf("demo takes no arguments, and %q is one", args[0]))
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Devices < 1 || o.Devices > maxDevices || o.Rate < 0 {
				return usageError(fmt.Sprintf("--devices takes 1 to %d, and --rate nothing below 0", maxDevices))
			}
			if verbose {
				o.Log = slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			}
			return Demo(c.Context(), o, keep, c.OutOrStdout())
		},
	}
	c.Flags().IntVar(&o.Devices, "devices", 30, "how many devices")
	c.Flags().Uint64Var(&o.Seed, "seed", 1, "of every choice: whose power is pulled, and when")
	c.Flags().Int64Var(&o.Rate, "rate", 2<<20, "bytes a second of the fastest devices' lines; 0 is as fast as it goes")
	c.Flags().StringVar(&keep, "keep", "", "empty or new directory for the server's and the devices' disks, kept afterwards")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "log what every agent does")
	return c
}

// A usageError is a mistake of the caller.
type usageError string

func (e usageError) Error() string { return string(e) }

// ExitCode is what the program exits with.
func (usageError) ExitCode() int { return 2 }

// Demo makes a world, plays the story in it, and looks at the disks.
func Demo(ctx context.Context, o Options, keep string, out io.Writer) error {
	dir, done, err := folder(keep)
	if err != nil {
		return err
	}
	defer done()
	o.Dir = dir
	began := time.Now()
	screen := newScreen(out, began)
	w, err := NewWorld(o)
	if err != nil {
		return err
	}
	screen.Say(began, "%d devices, seed %d", w.o.Devices, o.Seed)
	if err := w.run(ctx, screen); err != nil {
		return err
	}
	screen.Say(time.Now(), "looked at the disks: every device boots fw-%s, nothing is on trial", story[len(story)-1].Runs)
	return nil
}

// run plays the story and ends the world; then the disks are inspected.
func (w *World) run(ctx context.Context, screen *Screen) error {
	life, unplug := context.WithCancel(ctx)
	err := w.Start(life)
	if err == nil {
		screen.Say(time.Now(), "server on %s, all devices enrolled, running fw-%s", w.site.url, factory.Image.Version)
		err = w.Play(life, screen)
	}
	if err == nil && w.boards != nil {
		err = w.playBoards(life, screen)
	}
	unplug()
	err = errors.Join(err, w.Wait())
	if w.boards != nil {
		err = errors.Join(err, w.boards.close())
	}
	if w.post != nil {
		w.post.broker.Close()
	}
	if w.site != nil && w.site.server != nil {
		err = errors.Join(err, w.site.close())
	}
	if err != nil {
		return err
	}
	return w.Inspect()
}

// folder is where a world lives: a temporary one, or the empty one named.
func folder(keep string) (dir string, done func(), err error) {
	if keep == "" {
		dir, err = os.MkdirTemp("", "moult-demo-")
		return dir, func() { os.RemoveAll(dir) }, err
	}
	if err := os.MkdirAll(keep, 0o700); err != nil {
		return "", nil, fmt.Errorf("make world: %w", err)
	}
	if old, err := filepath.Glob(filepath.Join(keep, "*")); err != nil || len(old) > 0 {
		return "", nil, fmt.Errorf("make world: %s is not empty", keep)
	}
	return keep, func() {}, nil
}

func newScreen(out io.Writer, began time.Time) *Screen {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return NewScreen(out, false, 0, 0, began)
	}
	width, height, err := term.GetSize(int(f.Fd()))
	return NewScreen(out, err == nil, width, height, began)
}
