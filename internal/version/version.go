// Package version says which build of Moult this is.
package version

import "runtime/debug"

// Version is set by the linker: -X .../internal/version.Version=v1.2.3.
var Version = "dev"

// String is the version, with the commit where the toolchain recorded one.
func String() string {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return Version
	}
	for _, s := range b.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return Version + " (" + s.Value[:12] + ")"
		}
	}
	return Version
}
