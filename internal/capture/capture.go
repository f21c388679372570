// Package capture makes an image of a file system from where it is: a device
// that runs, over ssh; a block device; a directory. It checks what it made, so
// that an image cut short never becomes an artifact.
//
// It keeps the image in a temporary file: an artifact's size must be known
// before it is written, and a journal must be replayed before it is summed.
package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Options say how; the zero value will do.
type Options struct {
	Folder string                           // for the temporary image; empty: the system's
	SSH    []string                         // arguments of ssh before the host
	Size   int64                            // of a directory's file system, in bytes; 0: what it needs and a quarter
	Seed   string                           // the same directory and seed give the same image
	Read   func(n int)                      // told of bytes that came
	Note   func(format string, args ...any) // told what an operator should know
	Log    io.Writer                        // gets what ssh and the device say
}

// An Image is what was captured.
type Image struct {
	Path       string
	Size       int64
	DeviceType string            // of the device it came from; empty: not from a device
	Provides   map[string]string // of that device

	made bool // here, so that nobody has mounted it
}

// Close removes the image.
func (i *Image) Close() error { return os.Remove(i.Path) }

// ErrShort is an image that ends before its file system does.
var ErrShort = errors.New("the image ends before its file system does")

// scheme begins the name of a device.
const scheme = "ssh://"

// Needed reports whether from is more than a plain file: a device over ssh, a
// block device or a directory.
func Needed(from string) (bool, error) {
	if strings.HasPrefix(from, scheme) {
		return true, nil
	}
	fi, err := os.Stat(from)
	if err != nil {
		return false, err
	}
	switch mode := fi.Mode(); {
	case mode.IsDir(), mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0:
		return true, nil
	case !mode.IsRegular():
		return false, fmt.Errorf("%s is no file, directory or block device", from)
	}
	return false, nil
}

// Take makes an image of what from names. Whatever goes wrong, nothing is left.
func Take(ctx context.Context, from string, o Options) (*Image, error) {
	f, err := os.CreateTemp(o.Folder, ".moult-*.image")
	if err != nil {
		return nil, fmt.Errorf("capture %s: %w", from, err)
	}
	im := &Image{Path: f.Name()}
	if err = errors.Join(im.take(ctx, f, from, o), f.Close()); err == nil {
		err = im.check(ctx, o)
	}
	if err != nil {
		os.Remove(f.Name())
		return nil, fmt.Errorf("capture %s: %w", from, err)
	}
	return im, nil
}

func (i *Image) take(ctx context.Context, f *os.File, from string, o Options) error {
	if strings.HasPrefix(from, scheme) {
		return i.overSSH(ctx, f, from, o)
	}
	fi, err := os.Stat(from)
	if err != nil {
		return err
	}
	if fi.IsDir() {
		i.made = true
		return fromDirectory(ctx, f.Name(), from, o)
	}
	return fromDevice(ctx, f, from, o)
}

func (o Options) note(format string, args ...any) {
	if o.Note != nil {
		o.Note(format, args...)
	}
}

// copyTo copies, and tells of what came. ctx ends it between two pieces.
func (o Options) copyTo(ctx context.Context, w io.Writer, r io.Reader) error {
	buf := make([]byte, 256<<10)
	for ctx.Err() == nil {
		n, err := r.Read(buf)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		if o.Read != nil {
			o.Read(n)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}
