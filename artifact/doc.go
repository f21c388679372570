// Package artifact reads, writes, signs and verifies .mender artifacts.
//
// An artifact is one signed update file: a tar that holds a manifest of
// SHA-256 sums, a signature over that manifest, a header that says what the
// update is and needs, and one payload. FORMAT.md draws the layout and lists
// what a reader refuses.
//
// Everything streams, front to back: a payload is never held in memory, and a
// reader makes no copy of it on disk. A Reader believes nothing before the
// signature over the manifest was verified, and returns nothing before the
// whole header matched the manifest.
//
// The package knows no device, no server and no installer.
package artifact
