// Package exec reaches a child by a program: a script around a vendor's tool,
// for buses that have no package of their own. CONTRACT.md is for its author.
package exec

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/child"
)

// Times that an act may take.
const (
	stateTime = 30 * time.Second
	sendTime  = time.Hour
	actTime   = time.Minute
)

// Options say which program, and for which child. Program and Folder are
// needed.
type Options struct {
	Program string
	Folder  string // where the image to send is put
	ID      string // of the child, for the program to know
	Address string // of the child, for the program to know

	Time time.Duration // that any act may take; 0 means those of CONTRACT.md
}

// A Child is a child.Child behind a program.
type Child struct{ o Options }

var _ child.Child = (*Child)(nil)

// New looks whether the program is there.
func New(o Options) (*Child, error) {
	fi, err := os.Stat(o.Program)
	if err == nil && (!fi.Mode().IsRegular() || fi.Mode()&0o111 == 0) {
		err = errors.New("it is not an executable file")
	}
	if err == nil && o.Folder == "" {
		err = errors.New("no folder for images")
	}
	if err != nil {
		return nil, fmt.Errorf("driver program %s: %w", o.Program, err)
	}
	return &Child{o}, nil
}

// State reads what the program prints.
func (c *Child) State(ctx context.Context) (child.State, error) {
	out, err := c.call(ctx, act{verb: "state", time: stateTime})
	if err != nil {
		return child.State{}, err
	}
	s, err := parseState(out)
	if err != nil {
		return child.State{}, fmt.Errorf("%s state: %w", c.o.Program, err)
	}
	return s, nil
}

// Send gives the program a file.
func (c *Child) Send(ctx context.Context, image child.Image, told func(int64)) error {
	path := filepath.Join(c.o.Folder, "send.bin")
	if err := atomicfile.Write(path, image.Bytes, 0o600); err != nil {
		return err
	}
	defer os.Remove(path)
	if told == nil {
		told = func(int64) {}
	}
	_, err := c.call(ctx, act{verb: "send", args: []string{path}, env: about(image), time: sendTime, told: told})
	if err == nil {
		told(int64(len(image.Bytes)))
	}
	return err
}

// Try names the image in the environment.
func (c *Child) Try(ctx context.Context, image child.Image) error {
	_, err := c.call(ctx, act{verb: "try", env: about(image), time: actTime})
	return err
}

// Reset returns when the program says that the child goes down.
func (c *Child) Reset(ctx context.Context) error {
	_, err := c.call(ctx, act{verb: "reset", time: actTime})
	return err
}

// Confirm is ErrSelf when the program says so.
func (c *Child) Confirm(ctx context.Context) error {
	_, err := c.call(ctx, act{verb: "confirm", time: actTime})
	return err
}

// Close has nothing to let go of.
func (c *Child) Close() error { return nil }

func about(image child.Image) []string {
	return []string{
		"MOULT_VERSION=" + image.Version.String(), "MOULT_HASH=" + hex.EncodeToString(image.Hash[:]),
		"MOULT_SIZE=" + strconv.Itoa(len(image.Bytes)),
	}
}
