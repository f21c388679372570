package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/moult-ota/moult/internal/link"
)

// A fileLock lets one program at a time work on slots and record. The kernel
// drops it when its holder dies.
type fileLock struct {
	path    string
	patient time.Duration // 0 means for ever
}

// lockRetry is how often a taken lock is tried.
const lockRetry = 100 * time.Millisecond

func (l fileLock) lock(ctx context.Context) (func(), error) {
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for waited := time.Duration(0); ; waited += lockRetry {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || l.patient > 0 && waited >= l.patient {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w: another moult-agent is at work", l.path, ErrBusy)
		}
		if err := link.Sleep(ctx, lockRetry); err != nil {
			f.Close()
			return nil, err
		}
	}
}
