package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// makeImage returns an ext4 image of files from /usr, four fifths full. It is
// kept in cache and made once.
func makeImage(cache string, mib int) (string, error) {
	image := filepath.Join(cache, fmt.Sprintf("bench-%d.ext4", mib))
	if _, err := os.Stat(image); err == nil {
		return image, nil
	}
	stage := image + ".files"
	defer os.RemoveAll(stage)
	if err := copyFiles("/usr", stage, int64(mib)<<20*4/5); err != nil {
		return "", err
	}
	out, err := exec.Command("mke2fs", "-q", "-F", "-t", "ext4", "-d", stage, image+".part", fmt.Sprintf("%dM", mib)).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("mke2fs (package e2fsprogs): %w: %s", err, out)
	}
	return image, os.Rename(image+".part", image)
}

// copyFiles copies the first files below from, in the order of their names,
// until they are total bytes.
func copyFiles(from, to string, total int64) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Size() > total/8 { // many files, not one
			return nil
		}
		if total -= info.Size(); total < 0 {
			return fs.SkipAll
		}
		return copyFile(path, filepath.Join(to, path[len(from):]))
	})
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return create(to, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}
