package boottest

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
)

// A Folder is a simulated tree of small files on a file system without a
// journal, as FAT is. Creating, writing and syncing a file, renaming and
// removing it, and syncing a folder are one operation each. At a cut each name
// that changed since its folder was synced is there or not, independent of all
// others: a rename may leave both names or none. A file that was written and
// not synced is old, new, torn or spoilt.
type Folder struct {
	files map[string]*file
	old   map[string]*file // of names that changed; nil: there was none
	power *Power
}

type file struct{ now, old []byte } // old is nil when all is synced

// NewFolder returns a tree of the files given. It has no power until it is
// cloned onto one.
func NewFolder(files map[string]string) *Folder {
	f := &Folder{files: map[string]*file{}}
	for name, text := range files {
		f.files[name] = &file{now: []byte(text)}
	}
	return f
}

// Clone returns the same tree, with all that was written, on another power.
func (f *Folder) Clone(p *Power) Storage {
	c := &Folder{files: map[string]*file{}, old: map[string]*file{}, power: p}
	for name, x := range f.files {
		c.files[name] = &file{now: slices.Clone(x.now)}
	}
	p.lose = append(p.lose, c.lose)
	return c
}

// do is one operation.
func (f *Folder) do(change func()) {
	ends := f.power.cuts()
	change()
	if ends {
		f.power.end()
	}
}

// List returns the names in a folder, sorted.
func (f *Folder) List(dir string) (names []string, err error) {
	for name := range f.files {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Read returns what a file holds, synced or not.
func (f *Folder) Read(name string) ([]byte, error) {
	x := f.files[name]
	if x == nil {
		return nil, fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
	}
	return slices.Clone(x.now), nil
}

// Write puts p at the start of a file, which it makes when there is none, and
// syncs it. The name of a new one is not synced.
func (f *Folder) Write(name string, p []byte) error {
	if f.files[name] == nil {
		f.do(func() { f.point(name, &file{}) })
	}
	x := f.files[name]
	f.do(func() {
		x.old = slices.Clone(x.now)
		if x.old == nil {
			x.old = []byte{}
		}
		x.now = append(slices.Clone(p), x.now[min(len(p), len(x.now)):]...)
	})
	f.do(func() { x.old = nil })
	return nil
}

// Rename gives a file another name.
func (f *Folder) Rename(from, to string) error {
	x := f.files[from]
	if x == nil {
		return fmt.Errorf("rename %s: %w", from, fs.ErrNotExist)
	}
	f.do(func() { f.point(from, nil); f.point(to, x) })
	return nil
}

// Remove removes a name.
func (f *Folder) Remove(name string) error {
	if f.files[name] == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	f.do(func() { f.point(name, nil) })
	return nil
}

// Sync stores the names in a folder.
func (f *Folder) Sync(dir string) error {
	if f.power.cuts() {
		f.power.end()
	}
	maps.DeleteFunc(f.old, func(name string, _ *file) bool { return path.Dir(name) == dir })
	return nil
}

func (f *Folder) point(name string, x *file) {
	if _, changed := f.old[name]; !changed {
		f.old[name] = f.files[name]
	}
	f.set(name, x)
}

func (f *Folder) set(name string, x *file) {
	if x == nil {
		delete(f.files, name)
	} else {
		f.files[name] = x
	}
}

// lose is what a cut does. Names go in order, so that a seed gives the same
// cut again.
func (f *Folder) lose(how Regime) {
	rng := f.power.Rand
	for _, name := range slices.Sorted(maps.Keys(f.old)) {
		if how == Untouched || how != Done && rng.IntN(2) == 0 {
			f.set(name, f.old[name])
		}
	}
	clear(f.old)
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		x := f.files[name]
		switch {
		case x.old == nil || how == Done:
		case how == Unstable && rng.IntN(4) == 0:
			spoil(x.now, rng.Uint32)
		case how != Untouched && rng.IntN(4) == 0:
			tear := rng.IntN(len(x.now) + 1)
			x.now = append(x.now[:tear:tear], x.old[min(tear, len(x.old)):]...)
		case how == Untouched || rng.IntN(2) == 0:
			x.now = x.old
		}
		x.old = nil
	}
	for name, x := range f.files { // a file with two names becomes two
		f.files[name] = &file{now: slices.Clone(x.now)}
	}
}
