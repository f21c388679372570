// Package snapshot streams a file system of a running device as a block image.
// While it copies, the file system is frozen; it is thawed on every way out.
package snapshot

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A Source is what is copied.
type Source struct {
	Path  string // a block device or a plain file
	Mount string // where it is mounted; empty: nowhere, so it is not frozen
	dev   uint64 // device number of the file system; 0 for a plain file
}

// ErrNoDevice is a directory whose file system is on no block device.
var ErrNoDevice = errors.New("its file system is on no single block device (overlay, tmpfs, btrfs); name the device with --source")

// Find resolves path: a directory to the block device below it, a block
// device or a plain file to itself.
func Find(path string) (Source, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return Source{}, fmt.Errorf("find source %s: %w", path, err)
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		return Source{Path: path}, nil
	case syscall.S_IFBLK:
		return mounted(Source{Path: path, dev: uint64(st.Rdev)})
	case syscall.S_IFDIR:
		if major(uint64(st.Dev)) == 0 {
			return Source{}, fmt.Errorf("find source %s: %w", path, ErrNoDevice)
		}
		return below(Source{dev: uint64(st.Dev)})
	}
	return Source{}, fmt.Errorf("find source %s: neither directory, block device nor plain file", path)
}

// Holds tells whether path, or the directory that it will be made in, lies on s.
func (s Source) Holds(path string) bool {
	for {
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err == nil {
			return s.holds(&st)
		}
		up := filepath.Dir(path)
		if up == path {
			return false
		}
		path = up
	}
}

// HoldsFile tells whether f is a plain file on s.
func (s Source) HoldsFile(f *os.File) bool {
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return false
	}
	return s.holds(st.Sys().(*syscall.Stat_t))
}

func (s Source) holds(st *syscall.Stat_t) bool { return s.dev != 0 && uint64(st.Dev) == s.dev }

// below finds the device node; without udev only /sys knows its name.
func below(s Source) (Source, error) {
	number := number(s.dev)
	s.Path = "/dev/block/" + number
	if _, err := os.Stat(s.Path); err != nil {
		text, err := os.ReadFile("/sys/dev/block/" + number + "/uevent")
		if err != nil {
			return Source{}, fmt.Errorf("find block device %s: %w", number, err)
		}
		_, name, _ := strings.Cut("\n"+string(text), "\nDEVNAME=")
		name, _, _ = strings.Cut(name, "\n")
		s.Path = "/dev/" + name
	}
	return mounted(s)
}

// mounted finds where s is mounted.
func mounted(s Source) (Source, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Source{}, fmt.Errorf("find mount point: %w", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// number parent MAJOR:MINOR root MOUNT-POINT …
		field := strings.Fields(lines.Text())
		if len(field) > 4 && field[2] == number(s.dev) && isDir(unescape(field[4])) {
			s.Mount = unescape(field[4])
			break
		}
	}
	return s, nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// unescape undoes the octal escapes of mountinfo, such as \040.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func number(dev uint64) string { return fmt.Sprintf("%d:%d", major(dev), minor(dev)) }
func major(dev uint64) uint64  { return dev>>8&0xfff | dev>>32&^0xfff }
func minor(dev uint64) uint64  { return dev&0xff | dev>>12&^0xff&0xffffffff }
