package artifactcmd

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/cli/usage"
)

type dumping struct {
	reading
	files, metaData, scripts string // folders; "" leaves that out
	cmdline, cmdline0        bool
}

func dumpCommand() *cobra.Command {
	d := &dumping{}
	c := &cobra.Command{Use: "dump FILE", Short: "Take an artifact apart", Args: one("FILE"),
		RunE: func(c *cobra.Command, args []string) error { return d.run(c, args[0]) }}
	d.flags(c)
	f := c.Flags()
	f.StringVar(&d.files, "files", "", "put the payload's files into `FOLDER`")
	f.StringVar(&d.metaData, "meta-data", "", "put the meta-data into `FOLDER`")
	f.StringVar(&d.scripts, "scripts", "", "put the state scripts into `FOLDER`")
	f.BoolVar(&d.cmdline, "print-cmdline", false, "print the arguments that write the same artifact from those parts")
	f.BoolVar(&d.cmdline0, "print0-cmdline", false, "the same, with a zero byte between arguments")
	return c
}

func (d *dumping) run(c *cobra.Command, path string) error {
	if d.files+d.metaData+d.scripts == "" && !d.cmdline && !d.cmdline0 {
		return usage.Errorf("dump what? --files, --meta-data, --scripts or --print-cmdline")
	}
	for _, folder := range []string{d.files, d.metaData, d.scripts} {
		if folder == "" {
			continue
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	report, err := d.read(c, path, d.dumpFile)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := d.dumpHeader(report); err != nil {
		return err
	}
	d.printCommand(c.OutOrStdout(), report)
	return nil
}

// dumpFile keeps a file only if its sum is right.
func (d *dumping) dumpFile(f *artifact.File) error {
	if d.files == "" {
		return nil
	}
	return replace(filepath.Join(d.files, f.Name), func(w io.Writer) error {
		_, err := io.CopyBuffer(w, struct{ io.Reader }{f}, make([]byte, 1<<20))
		return err
	})
}

const metaDataName = "0000.meta-data"

func (d *dumping) dumpHeader(r *report) error {
	if d.metaData != "" && len(r.MetaData) > 0 {
		if err := writeNew(filepath.Join(d.metaData, metaDataName), r.MetaData, 0o644); err != nil {
			return err
		}
	}
	if d.scripts == "" {
		return nil
	}
	for _, s := range r.Scripts {
		if err := writeNew(filepath.Join(d.scripts, s.Name), s.Body, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// writeNew writes through replace, and so follows no link at path.
func writeNew(path string, b []byte, mode os.FileMode) error {
	err := replace(path, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(b))
		return err
	})
	if err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

func (d *dumping) printCommand(w io.Writer, r *report) {
	switch args := d.command(r); {
	case d.cmdline0:
		fmt.Fprint(w, strings.Join(args, "\x00"))
	case d.cmdline:
		for i := range args {
			args[i] = shellWord(args[i])
		}
		fmt.Fprintln(w, strings.Join(args, " "))
	}
}

// shellWord quotes what a shell would not take as one plain word.
func shellWord(s string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.,:/=+@%*"
	if s != "" && strings.Trim(s, safe) == "" && !strings.Contains(s, "*") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// command returns the arguments of `moult artifact` that write r again.
func (d *dumping) command(r *report) []string {
	kind := "module-image"
	switch r.PayloadType {
	case "":
		kind = "bootstrap-artifact"
	case "rootfs-image":
		kind = "rootfs-image"
	}
	args := []string{"write", kind, "--artifact-name", r.Name}
	add := func(flag string, values ...string) {
		for _, v := range values {
			args = append(args, flag, v)
		}
	}
	if r.Group != "" {
		add("--provides-group", r.Group)
	}
	add("--artifact-name-depends", r.Depends["artifact_name"]...)
	add("--device-type", r.DeviceTypes...)
	add("--depends-groups", r.Depends["artifact_group"]...)
	args = append(args, payloadArgs(kind, r)...)
	add("--provides", flat(provideLists(r.Provides), "artifact_name", "artifact_group")...)
	add("--depends", flat(r.Depends, "artifact_name", "artifact_group", "device_type")...)
	add("--clears-provides", r.Clears...)
	return append(args, d.partArgs(r)...)
}

// payloadArgs turns off what `write` would add by itself.
func payloadArgs(kind string, r *report) []string {
	defaults := []string{"--no-default-software-version", "--no-default-clears-provides"}
	switch kind {
	case "bootstrap-artifact":
		return nil
	case "rootfs-image":
		return append(defaults, "--no-checksum-provide")
	default:
		return append([]string{"--type", r.PayloadType}, defaults...)
	}
}

func (d *dumping) partArgs(r *report) (args []string) {
	if d.scripts != "" {
		for _, s := range r.Scripts {
			args = append(args, "--script", filepath.Join(d.scripts, s.Name))
		}
	}
	if d.metaData != "" && len(r.MetaData) > 0 {
		args = append(args, "--meta-data", filepath.Join(d.metaData, metaDataName))
	}
	if d.files != "" {
		for _, f := range r.Files {
			args = append(args, "--file", filepath.Join(d.files, f.Name))
		}
	}
	return args
}

func provideLists(m map[string]string) map[string][]string {
	lists := map[string][]string{}
	for key, value := range m {
		lists[key] = []string{value}
	}
	return lists
}

// flat returns the pairs as KEY:VALUE, except those that have a flag.
func flat(m map[string][]string, except ...string) (pairs []string) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if slices.Contains(except, key) {
			continue
		}
		for _, value := range m[key] {
			pairs = append(pairs, key+":"+value)
		}
	}
	return pairs
}
