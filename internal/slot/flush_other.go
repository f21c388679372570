//go:build !linux

package slot

import "os"

func flush(*os.File, int64, int64, int) {}
