package gpt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moult-ota/moult/internal/sbl/gpt"
)

const size = 8 << 20

var parts = []gpt.Partition{
	{Number: 1, Name: "moult-register", ID: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, Start: 1 << 20, Size: 1 << 20},
	{Number: 3, Name: "größer", ID: [16]byte{3}, Start: 2 << 20, Size: 4 << 20},
}

func disk(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := gpt.Write(f, size, [16]byte{9}, parts); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRoundTrip(t *testing.T) {
	got, err := gpt.Read(disk(t), size)
	if err != nil || !slices.Equal(got, parts) {
		t.Errorf("Read = %+v, %v, want %+v", got, err, parts)
	}
	if got, want := parts[0].PartUUID(), "04030201-0605-0807-090a-0b0c0d0e0f10"; got != want {
		t.Errorf("PartUUID = %s, want %s", got, want)
	}
}

// TestDamage spoils the table at the start: the copy serves. Both: refused.
func TestDamage(t *testing.T) {
	f := disk(t)
	for _, off := range []int64{512 + 24, 1024 + 32} {
		if _, err := f.WriteAt([]byte{0xa5}, off); err != nil {
			t.Fatal(err)
		}
		got, err := gpt.Read(f, size)
		if err != nil || !slices.Equal(got, parts) {
			t.Errorf("Read with byte %d spoilt = %+v, %v, want %+v", off, got, err, parts)
		}
	}
	if _, err := f.WriteAt([]byte{0xa5}, size-512+88); err != nil {
		t.Fatal(err)
	}
	if _, err := gpt.Read(f, size); !errors.Is(err, gpt.ErrTable) {
		t.Errorf("Read with both spoilt = %v, want %v", err, gpt.ErrTable)
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, p := range []gpt.Partition{
		{Number: 0, Start: 1 << 20, Size: 512}, {Number: 1, Start: 512, Size: 512},
		{Number: 1, Start: 1 << 20, Size: 100}, {Number: 1, Start: 1 << 20, Size: size},
	} {
		if err := gpt.Write(disk(t), size, [16]byte{}, []gpt.Partition{p}); !errors.Is(err, gpt.ErrTable) {
			t.Errorf("Write(%+v) = %v, want %v", p, err, gpt.ErrTable)
		}
	}
}

// FuzzRead fails when a table, whatever is in it, makes a partition that lies
// outside its disk. The first 40 bytes go into the header, the rest into the
// entries; the checksums are made to hold.
func FuzzRead(f *testing.F) {
	f.Add(bytes.Repeat([]byte{7}, 300))
	f.Fuzz(func(t *testing.T, p []byte) {
		h, table := make([]byte, 512), make([]byte, 128*128)
		copy(h, "EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")
		n := copy(h[48:88], p)
		copy(table, p[n:])
		h[24], h[80], h[84] = 1, 128, 128
		copy(h[72:80], []byte{2, 0, 0, 0, 0, 0, 0, 0})
		clear(h[81:84])
		clear(h[85:88])
		binary.LittleEndian.PutUint32(h[88:], crc32.ChecksumIEEE(table))
		binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
		image := append(make([]byte, 512), append(h, table...)...)
		got, err := gpt.Read(bytes.NewReader(image), size)
		if err != nil && !errors.Is(err, gpt.ErrTable) {
			t.Errorf("Read = %v, want %v", err, gpt.ErrTable)
		}
		for _, x := range got {
			if x.Start < 0 || x.Size <= 0 || x.Start+x.Size > size {
				t.Errorf("Read = %+v: outside the disk", x)
			}
		}
	})
}
