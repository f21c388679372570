package childtest_test

import (
	"testing"

	"github.com/moult-ota/moult/internal/child/childtest"
)

// TestFake: the suite is passed by what the gateway is tested with.
func TestFake(t *testing.T) {
	for _, mute := range []bool{false, true} {
		childtest.Run(t, func(*testing.T) childtest.Bench {
			old, next := childtest.NewImage("1.0.0", 20<<10, nil), childtest.NewImage("2.0.0", 30<<10, nil)
			f := childtest.NewFake(old, 1)
			f.Mute = mute
			return childtest.Bench{Child: f, Old: old, New: next, Mute: mute}
		})
	}
}
