package module

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/install"
)

// A feed gives a payload to a module that is downloading:
//
//	module opens stream-next ──► reads "streams/NAME\n" ──► opens and reads it ─┐
//	       ▲                                                                    │
//	       └────────────────────────────────────────────────────────────────────┘
//	reads nothing from stream-next: that was the last
//
// A module that exits 0 before it opened stream-next wants its files stored.
type feed struct {
	i     *Installer
	ctx   context.Context
	cmd   *exec.Cmd
	chat  *capped
	ended chan struct{} // closed when the module has exited
	err   error         // of the module, after ended
	sizes bool          // it wants sizes in stream-next
}

// errExited means that the module was gone before it opened a FIFO.
var errExited = errors.New("the module has exited")

// poll is how often a FIFO is tried that nobody reads yet.
const poll = 5 * time.Millisecond

// download runs the module beside the payload, which it must take completely.
func (i *Installer) download(ctx context.Context, p install.Payload) error {
	answer, err := i.ask(ctx, "ProvidePayloadFileSizes", "No", "Yes")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, i.o.Time)
	defer cancel()
	f := &feed{i: i, ctx: ctx, sizes: answer == "Yes", ended: make(chan struct{}), chat: &capped{left: maxChat}}
	if err := f.start(); err != nil {
		return err
	}
	err = f.all(p)
	if err != nil {
		cancel()
	}
	<-f.ended
	i.note("Download", f.chat)
	os.Remove(i.in("stream-next"))
	return errors.Join(err, f.failed(err))
}

// failed is the module's own fault, unless it was stopped because of cause.
func (f *feed) failed(cause error) error {
	if f.err == nil || cause != nil && !errors.Is(cause, errExited) {
		return nil
	}
	return fmt.Errorf("download: %w", f.err)
}

func (i *Installer) in(name string) string { return filepath.Join(i.tree, name) }

func (f *feed) start() error {
	if err := syscall.Mkfifo(f.i.in("stream-next"), 0o600); err != nil {
		return fmt.Errorf("make stream-next: %w", err)
	}
	state := "Download"
	if f.sizes {
		state = "DownloadWithFileSizes"
	}
	f.cmd = f.i.command(f.ctx, state)
	f.cmd.Stderr = f.chat
	if err := f.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", state, err)
	}
	go func() {
		f.err = f.cmd.Wait()
		close(f.ended)
	}()
	return nil
}

// all gives every file, and then says that there are no more.
func (f *feed) all(p install.Payload) error {
	stored := false
	for n := 0; ; n++ {
		file, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if !stored {
			err = f.stream(file)
			stored = errors.Is(err, errExited) && n == 0 && f.err == nil
		}
		if stored {
			err = f.store(file)
		}
		if err != nil {
			return fmt.Errorf("give %s: %w", file.Name, err)
		}
	}
	if stored {
		return nil
	}
	if err := f.write("stream-next", nil); err != nil && !errors.Is(err, errExited) {
		return err
	}
	return nil
}

// stream announces a file and then is its writer.
func (f *feed) stream(file *artifact.File) error {
	line := "streams/" + file.Name
	path := line
	if err := syscall.Mkfifo(f.i.in(path), 0o600); err != nil {
		return fmt.Errorf("make stream: %w", err)
	}
	defer os.Remove(f.i.in(path))
	if f.sizes {
		line += fmt.Sprintf(" %d", file.Size)
	}
	if err := f.write("stream-next", []byte(line+"\n")); err != nil {
		return err
	}
	w, err := f.open(path)
	if err != nil {
		return fmt.Errorf("%v before it read %s", err, path)
	}
	_, err = io.Copy(w, file)
	return errors.Join(err, w.Close())
}

// write opens a FIFO once somebody reads it, and writes one message.
func (f *feed) write(name string, message []byte) error {
	w, err := f.open(name)
	if err != nil {
		return err
	}
	_, err = w.Write(message)
	return errors.Join(err, w.Close())
}

// open waits for a reader: opening for writing without one fails at once with
// ENXIO, where a plain open would hang for as long as the module does nothing.
func (f *feed) open(name string) (*os.File, error) {
	for {
		w, err := os.OpenFile(f.i.in(name), os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if !errors.Is(err, syscall.ENXIO) {
			return w, err
		}
		select {
		case <-f.ended:
			return nil, errExited
		case <-time.After(poll):
		}
	}
}

// store keeps a file for the module to find.
func (f *feed) store(file *artifact.File) error {
	if err := os.MkdirAll(f.i.in("files"), 0o700); err != nil {
		return err
	}
	w, err := os.OpenFile(filepath.Join(f.i.in("files"), file.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, file)
	return errors.Join(err, w.Close())
}
