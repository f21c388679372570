package artifactcmd

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moult-ota/moult/internal/capture"
	"github.com/moult-ota/moult/internal/cli/usage"
)

// A source is where a root file system comes from.
type source struct {
	name string
	ssh  []string
	size string
}

func (s *source) flags(f *pflag.FlagSet) {
	f.StringVarP(&s.name, "file", "f", "", "`IMAGE` of the file system, a block device, a directory, or ssh://[user@]host[:port] (required)")
	f.StringArrayVarP(&s.ssh, "ssh-args", "S", nil, "`ARGUMENT` for ssh, such as -i or a key's file; repeat for several")
	f.StringVar(&s.size, "image-size", "", "`SIZE` of a directory's file system, such as 512M; default is what it needs and a quarter")
}

// open makes the image where there is none, and says to w what is known of it.
// done removes it again.
func (s *source) open(c *cobra.Command, w *writer) (done func(), err error) {
	done = func() {}
	needed, err := capture.Needed(s.name)
	if err != nil {
		return nil, err
	}
	if !needed {
		w.files = []string{s.name}
		return done, nil
	}
	o := capture.Options{
		Folder: filepath.Dir(w.output), SSH: s.ssh, Seed: w.spec.Name, Log: c.ErrOrStderr(),
		Note: func(format string, args ...any) { fmt.Fprintf(c.ErrOrStderr(), "moult: "+format+"\n", args...) },
	}
	if o.Size, err = bytesOf(s.size); err != nil {
		return nil, err
	}
	bar := newSpinner(c.ErrOrStderr(), "copying", w.noProgress)
	o.Read = bar.add
	im, err := capture.Take(c.Context(), s.name, o)
	bar.stop()
	if err != nil {
		return nil, err
	}
	w.files, w.fileName = []string{im.Path}, s.inside()
	if len(w.spec.DeviceTypes)+len(w.compatible) == 0 && im.DeviceType != "" {
		w.spec.DeviceTypes = []string{im.DeviceType}
	}
	w.carried = w.carry(im.Provides)
	return func() { im.Close() }, nil
}

// inside is the image's name in the artifact.
func (s *source) inside() string {
	name := filepath.Base(strings.TrimRight(s.name, "/"))
	if strings.HasPrefix(s.name, "ssh://") || name == "." || name == "/" {
		name = "rootfs"
	}
	return name + ".img"
}

// carry is what a device's root file system goes on to provide in the new
// image: all that is about it, but for what the artifact says anew. The
// security version stays, unless a flag raises it: the content is at least
// that.
func (w *writer) carry(provides map[string]string) map[string]string {
	prefix := w.software.Filesystem + "."
	anew := map[string]bool{prefix + "version": true, prefix + "checksum": true, prefix + "security_version": w.floor >= 0}
	all := map[string]string{}
	for key, value := range provides {
		if strings.HasPrefix(key, prefix) && !anew[key] {
			all[key] = value
		}
	}
	return all
}

// bytesOf reads a size: a number, with K, M or G behind it.
func bytesOf(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number, unit := strings.TrimRight(text, "KMG"), int64(1)
	if len(text)-len(number) > 1 {
		return 0, usage.Errorf("--image-size %s: want a number, with K, M or G", text)
	}
	if number != text {
		unit = map[byte]int64{'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}[text[len(text)-1]]
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n <= 0 {
		return 0, usage.Errorf("--image-size %s: want a number, with K, M or G", text)
	}
	return n * unit, nil
}
