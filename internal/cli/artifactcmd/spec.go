package artifactcmd

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/cli/usage"
)

const (
	maxKey      = 64 << 10 // bytes of a PEM file
	maxMetaData = 1 << 20
	maxScript   = 16 << 20
)

func (w *writer) run(c *cobra.Command) error {
	if err := w.fill(); err != nil {
		return err
	}
	bar := newProgress(c.ErrOrStderr(), "writing", w.bytes(), w.noProgress)
	defer bar.stop()
	w.watch(bar)
	sum, size, err := w.write(c.Context())
	if err != nil {
		return err
	}
	bar.stop()
	if w.json {
		return printJSON(c.OutOrStdout(), written{w.output, w.spec.Name, size, sum, w.key != ""})
	}
	return nil
}

// A written artifact, as --json prints it.
type written struct {
	Path   string          `json:"path"`
	Name   string          `json:"name"`
	Size   int64           `json:"size"`
	SHA256 artifact.Digest `json:"sha256"`
	Signed bool            `json:"signed"`
}

// fill completes the Spec from the flags.
func (w *writer) fill() error {
	for _, step := range []func() error{w.fillRequired, w.fillPairs, w.fillSoftware, w.fillFiles, w.fillScripts, w.fillKey} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) fillRequired() (err error) {
	w.spec.DeviceTypes = append(w.spec.DeviceTypes, w.compatible...)
	switch {
	case w.spec.Name == "":
		return usage.Errorf("what is its name? --artifact-name NAME")
	case len(w.spec.DeviceTypes) == 0:
		return usage.Errorf("which devices does it fit? --device-type TYPE")
	case w.version != 3:
		return usage.Errorf("--version %d: only version 3 is written", w.version)
	case w.floor < -1:
		return usage.Errorf("--security-version %d is negative", w.floor)
	}
	if w.spec.Compression, err = artifact.ParseCompression(w.compression); err != nil {
		return usage.Errorf("%w", err)
	}
	w.spec.TempDir = filepath.Dir(w.output)
	return nil
}

func (w *writer) fillPairs() error {
	provides, err := pairs(w.provides)
	if err != nil {
		return err
	}
	w.spec.Provides = map[string]string{}
	for key, values := range provides {
		if len(values) > 1 {
			return usage.Errorf("--provides %s is there twice", key)
		}
		w.spec.Provides[key] = values[0]
	}
	w.spec.Depends, err = pairs(w.depends)
	return err
}

// fillSoftware adds what the software provides, and what a device said that it
// does, unless --provides says it.
func (w *writer) fillSoftware() error {
	if w.software.Version == "" && !w.noVersion {
		w.software.Version = w.spec.Name
	}
	if w.floor >= 0 {
		floor := uint64(w.floor)
		w.software.SecurityVersion = &floor
	}
	for key, value := range w.carried {
		if _, said := w.spec.Provides[key]; !said {
			w.spec.Provides[key] = value
		}
	}
	for key, value := range w.software.Provides() {
		if said, ok := w.spec.Provides[key]; ok && said != value {
			return usage.Errorf("--provides says %s is %s, the software flags say %s", key, said, value)
		}
		w.spec.Provides[key] = value
	}
	w.spec.Clears = w.clears
	if !w.noClears {
		w.spec.Clears = append(w.spec.Clears, w.software.Clears()...)
	}
	return nil
}

func (w *writer) fillFiles() error {
	for _, path := range w.files {
		stat, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !stat.Mode().IsRegular() {
			return usage.Errorf("--file %s is not a plain file", path)
		}
		w.spec.Files = append(w.spec.Files, artifact.Source{Name: cmp.Or(w.fileName, filepath.Base(path)), Size: stat.Size(),
			Open: func() (io.ReadCloser, error) { return os.Open(path) }})
	}
	if w.metaData == "" {
		return nil
	}
	var err error
	w.spec.MetaData, err = readFile(w.metaData, maxMetaData)
	return err
}

func (w *writer) fillScripts() error {
	for _, path := range w.scripts {
		body, err := readFile(path, maxScript)
		if err != nil {
			return err
		}
		w.spec.Scripts = append(w.spec.Scripts, artifact.Script{Name: filepath.Base(path), Body: body})
	}
	return nil
}

func (w *writer) fillKey() (err error) {
	if w.key != "" {
		w.spec.Signer, err = readSigner(w.key)
	}
	return err
}

// bytes is how many bytes of files Write will read.
func (w *writer) bytes() (n int64) {
	for _, f := range w.spec.Files {
		n += f.Size
	}
	if w.spec.Compression == artifact.None {
		n *= 2 // once for the sums
	}
	return n
}

func (w *writer) watch(bar *progress) {
	for i, f := range w.spec.Files {
		w.spec.Files[i].Open = func() (io.ReadCloser, error) {
			in, err := f.Open()
			if err != nil {
				return nil, err
			}
			return bar.reader(in), nil
		}
	}
}

func (w *writer) write(ctx context.Context) (sum artifact.Digest, size int64, err error) {
	err = replace(w.output, func(out io.Writer) error {
		counted := &counter{ctx: ctx, hash: sha256.New(), w: out}
		if err := artifact.Write(counted, w.spec); err != nil {
			return verdict(err)
		}
		sum, size = artifact.Digest(counted.hash.Sum(nil)), counted.n
		return nil
	})
	return sum, size, err
}

// A counter also ends the writing when its context ends, so that nothing half
// written is left.
type counter struct {
	ctx  context.Context
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (c *counter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	c.hash.Write(p)
	c.n += int64(len(p))
	return c.w.Write(p)
}

// replace writes a file under another name first, so that path holds the old
// content or all of the new.
func replace(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".moult-*.part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("read %s: more than %d bytes", path, limit)
	}
	return b, err
}
