package register_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/register"
	"github.com/moult-ota/moult/internal/slot"
)

var sample = register.Record{
	Vars: boot.Vars{
		Current: slot.A, Trial: slot.B, Tries: 3, Floor: 4, Deployment: 0x1234,
		Slots: [2]boot.SlotVars{
			{State: boot.Confirmed, Image: boot.Image{Security: 4, Digest: boot.Digest{1, 2, 3, 4, 5, 6, 7, 8}}},
			{State: boot.Valid, Image: boot.Image{Security: 5, Digest: boot.Digest{8, 7, 6, 5, 4, 3, 2, 1}}},
		},
	},
	Generation: 9, First: 2,
}

// golden is sample as loaders in other languages must write it.
const golden = "53425231010102030400000034120000" + "09000000020000000200000004000000" +
	"01020304050607080100000005000000" + "080706050403020100000000"

// TestRecordGolden fails when the layout of FORMAT.md changes.
func TestRecordGolden(t *testing.T) {
	got := register.AppendRecord(nil, sample)
	want, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	want = binary.LittleEndian.AppendUint32(want, crc32.ChecksumIEEE(want))
	if !bytes.Equal(got, want) {
		t.Errorf("AppendRecord = %x, want %x", got, want)
	}
	back, rest, err := register.ParseRecord(append(got, 1))
	if back != sample || len(rest) != 1 || err != nil {
		t.Errorf("ParseRecord = %+v, %x, %v, want %+v", back, rest, err, sample)
	}
}

func TestParseRecordRefuses(t *testing.T) {
	tests := []struct {
		name string
		at   int
		to   byte
	}{
		{"magic", 0, 'X'}, {"format", 4, 2}, {"current slot", 5, 3}, {"slot on trial", 6, 0xff},
		{"reserved", 22, 1}, {"state", 24, 4}, {"reserved of a slot", 42, 1}, {"reserved at the end", 56, 1},
	}
	for _, tt := range tests {
		p := register.AppendRecord(nil, sample)
		p[tt.at] = tt.to
		seal(p)
		if _, _, err := register.ParseRecord(p); !errors.Is(err, register.ErrCell) {
			t.Errorf("%s: ParseRecord(%x) = %v, want %v", tt.name, p, err, register.ErrCell)
		}
	}
	p := register.AppendRecord(nil, sample)
	for at := range p {
		p[at] ^= 0x10
		if _, _, err := register.ParseRecord(p); !errors.Is(err, register.ErrCell) {
			t.Errorf("ParseRecord with byte %d changed = %v, want %v", at, err, register.ErrCell)
		}
		p[at] ^= 0x10
	}
	if _, _, err := register.ParseRecord(p[:63]); !errors.Is(err, register.ErrCell) {
		t.Errorf("ParseRecord of 63 bytes = %v, want %v", err, register.ErrCell)
	}
}

// seal sets the checksum of a record.
func seal(p []byte) {
	if len(p) >= register.CellSize {
		binary.LittleEndian.PutUint32(p[60:], crc32.ChecksumIEEE(p[:60]))
	}
}

// FuzzRecord fails when a record is accepted that would be written otherwise.
func FuzzRecord(f *testing.F) {
	f.Add(register.AppendRecord(nil, register.Record{}))
	f.Add(register.AppendRecord(nil, sample))
	f.Add(bytes.Repeat([]byte{0xff}, register.CellSize))
	f.Fuzz(func(t *testing.T, p []byte) {
		seal(p)
		r, rest, err := register.ParseRecord(p)
		if err != nil {
			return
		}
		if again := append(register.AppendRecord(nil, r), rest...); !bytes.Equal(again, p) {
			t.Errorf("ParseRecord accepts %x and writes it as %x", p, again)
		}
	})
}

// FuzzRegister fails when contents of the flash, whatever they are, make a
// register that does not settle or does not take a state.
func FuzzRegister(f *testing.F) {
	record := register.AppendRecord(nil, sample)
	f.Add([]byte{})
	f.Add(bytes.Repeat(record, 3))
	f.Add(bytes.Repeat([]byte{0}, 1024))
	f.Add(append(bytes.Repeat(record, 8), bytes.Repeat(record[:60], 8)...))
	f.Fuzz(func(t *testing.T, contents []byte) {
		const sector = 8 * register.CellSize
		flash := blank(sector, 1)
		if err := flash.Program(contents[:min(len(contents), 2*sector)], 0); err != nil {
			t.Fatal(err)
		}
		r := open(t, flash)
		first, err := r.Load()
		if err != nil {
			t.Fatalf("Load = %v", err)
		}
		if again, err := r.Load(); again != first || err != nil {
			t.Fatalf("Load again = %+v, %v, want %+v", again, err, first)
		}
		if err := r.Save(sample.Vars); err != nil {
			t.Fatalf("Save = %v", err)
		}
		if got, err := r.Load(); got != sample.Vars || err != nil {
			t.Fatalf("Load after Save = %+v, %v, want %+v", got, err, sample.Vars)
		}
	})
}
