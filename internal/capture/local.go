package capture

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// waitDelay is what a program has to end after it was told to.
const waitDelay = 10 * time.Second

// fromDevice copies a block device that nobody writes to.
func fromDevice(ctx context.Context, f *os.File, path string, o Options) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	where, err := written(in)
	if err != nil {
		return err
	}
	if where != "" {
		return fmt.Errorf("it is mounted at %s and may change while it is copied; unmount it, or use moult-agent snapshot, which freezes it", where)
	}
	if err := o.copyTo(ctx, f, in); err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	return nil
}

// written returns where a device is mounted to be written to.
func written(f *os.File) (string, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return "", err
	}
	dev := uint64(st.Rdev)
	number := fmt.Sprintf("%d:%d", dev>>8&0xfff|dev>>32&^0xfff, dev&0xff|dev>>12&^0xff&0xffffffff)
	table, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer table.Close()
	for lines := bufio.NewScanner(table); lines.Scan(); {
		// number parent MAJOR:MINOR root MOUNT-POINT options …
		field := strings.Fields(lines.Text())
		if len(field) > 5 && field[2] == number && strings.HasPrefix(field[5]+",", "rw,") {
			return field[4], nil
		}
	}
	return "", nil
}

// fromDirectory makes an ext4 of a directory. Files keep the owners that they
// have here.
func fromDirectory(ctx context.Context, image, dir string, o Options) error {
	size, strangers, err := measure(dir)
	if err != nil {
		return err
	}
	if strangers {
		o.note("some files in %s do not belong to root, and will not in the image; fakeroot changes that", dir)
	}
	if o.Size != 0 {
		size = o.Size
	}
	uuid := uuidOf(o.Seed)
	if err := filesystem(ctx, nil, "mke2fs", "-q", "-F", "-t", "ext4", "-U", uuid, "-E", "root_owner=0:0,hash_seed="+uuid, "-d", dir, image,
		strconv.FormatInt(size>>10, 10)+"k"); err != nil {
		return fmt.Errorf("make file system of %d bytes: %w; --image-size makes it larger", size, err)
	}
	if err := settleTimes(ctx, image); err != nil {
		return fmt.Errorf("settle times: %w", err)
	}
	return nil
}

// epoch is the time at which file systems are made: SOURCE_DATE_EPOCH, or 1.
func epoch() string {
	if t := os.Getenv("SOURCE_DATE_EPOCH"); t != "" {
		return t
	}
	return "1"
}

// filesystem runs a program of e2fsprogs as if it were always the same time.
func filesystem(ctx context.Context, in io.Reader, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, tool(name), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "E2FSPROGS_FAKE_TIME="+epoch(), "SOURCE_DATE_EPOCH="+epoch())
	cmd.Stdin = in
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %.300s", missing(err, "e2fsprogs"), strings.TrimSpace(string(out)))
	}
	return nil
}

// settleTimes sets the times that say when files were read, or copied here, and
// not when they were made: two builds never have the same.
func settleTimes(ctx context.Context, image string) error {
	used, err := usedInodes(image)
	if err != nil {
		return err
	}
	const root, reserved = 2, 10
	var script strings.Builder
	for n := int64(root); n <= used; n++ {
		if n > root && n <= reserved {
			continue
		}
		for _, field := range []string{"atime", "ctime", "crtime"} {
			fmt.Fprintf(&script, "sif <%d> %s @%s\n", n, field, epoch())
		}
	}
	return filesystem(ctx, strings.NewReader(script.String()), "debugfs", "-w", "-f", "-", image)
}

// measure guesses how large a file system dir needs, and says whether files in
// it belong to somebody else than root.
func measure(dir string) (size int64, strangers bool, err error) {
	const block, inode = 4096, 512
	files := int64(0)
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && (st.Uid != 0 || st.Gid != 0) {
			strangers = true
		}
		files++
		size += (fi.Size() + 2*block - 1) / block * block
		return nil
	})
	size += files * inode
	size += size/4 + 16<<20 // a journal, and room to grow
	return size &^ (1<<20 - 1), strangers, err
}

// uuidOf is a UUID that a text always gives.
func uuidOf(text string) string {
	s := sha256.Sum256([]byte("moult image " + text))
	s[6], s[8] = s[6]&0x0f|0x80, s[8]&0x3f|0x80 // version 8, RFC 9562 §5.8
	return fmt.Sprintf("%x-%x-%x-%x-%x", s[:4], s[4:6], s[6:8], s[8:10], s[10:16])
}

// tool is a program that stands where only root's PATH looks.
func tool(name string) string {
	if _, err := exec.LookPath(name); err != nil {
		return "/usr/sbin/" + name
	}
	return name
}

// missing says which of Debian's packages a program is in.
func missing(err error, pkg string) error {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; Debian has it in the package %s", err, pkg)
	}
	return err
}
