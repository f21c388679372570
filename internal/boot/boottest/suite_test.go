package boottest_test

import (
	"slices"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/boottest"
)

// TestSuiteRefusesNaiveRegisters is the test of the test: the suite finds what
// is wrong with registers that lose their state.
func TestSuiteRefusesNaiveRegisters(t *testing.T) {
	tests := []struct {
		name string
		open func(*boottest.NOR) boot.Env
		want []boottest.Invariant
	}{
		{"one register, erased and written", func(f *boottest.NOR) boot.Env { return oneRegister{f} }, []boottest.Invariant{boottest.Durable, boottest.Bootable}},
		{"two records, sequence and checksum", func(f *boottest.NOR) boot.Env { return twoRecords{f} }, []boottest.Invariant{boottest.Durable}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := boottest.Subject{Name: tt.name, Blank: boottest.NewNOR(naiveRoom, 8)}
			s.Open = func(s boottest.Storage) (boot.Env, error) { return tt.open(s.(*boottest.NOR)), nil }
			var got []boottest.Invariant
			cuts := boottest.Play(s, boottest.Options{Cuts: 200_000, Most: len(tt.want)}, func(v boottest.Violation) {
				got = append(got, v.Invariant)
			})
			for _, want := range tt.want {
				if !slices.Contains(got, want) {
					t.Errorf("Play(%s) found %q in %d cuts, want %q too", tt.name, got, cuts, want)
				}
			}
		})
	}
}

// TestSuiteAcceptsDisk fails when the suite finds fault with what is sound, on
// the kind of storage that boot environments in files have.
func TestSuiteAcceptsDisk(t *testing.T) {
	boottest.Run(t, boottest.Subject{
		Name:  "two records on a disk",
		Blank: boottest.NewDisk(2 * naiveRoom),
		Open:  func(s boottest.Storage) (boot.Env, error) { return onDisk{s.(*boottest.Disk)}, nil },
	}, boottest.Options{Cuts: 20_000 / slower})
}
