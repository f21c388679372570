// Package disk keeps blobs in a folder of the local disk.
package disk

import "github.com/moult-ota/moult/internal/blob"

// Open opens the folder dir, creates it if it is not there, and sweeps what
// writers of a killed process left.
func Open(dir string) (blob.Store, error) { panic("soon") }
