package systemdboot_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/systemdboot"
)

// FuzzRecord fails when a record is accepted that would be written otherwise.
func FuzzRecord(f *testing.F) {
	f.Add(systemdboot.AppendRecord(nil, systemdboot.Record{}))
	f.Add(systemdboot.AppendRecord(nil, systemdboot.Record{Generation: 1 << 30, Vars: boot.First(2, imageB, 5)}))
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := systemdboot.ParseRecord(p)
		if again := systemdboot.AppendRecord(nil, r); err == nil && !bytes.Equal(again, p) {
			t.Errorf("ParseRecord accepts %q and writes it as %q", p, again)
		}
	})
}

// FuzzEntry fails when what a name means changes by writing it again.
func FuzzEntry(f *testing.F) {
	f.Add("moult-7-b+2-1.conf")
	f.Add("MOULT-07-a+03-0.conf")
	f.Fuzz(func(t *testing.T, name string) {
		e, ok := systemdboot.ParseEntry(name)
		if again, ok2 := systemdboot.ParseEntry(e.String()); ok && (!ok2 || again != e) {
			t.Errorf("ParseEntry(%q) = %+v, of %v it is %+v", name, e, e, again)
		}
		if ok && !strings.HasPrefix(strings.ToLower(name), "moult-") {
			t.Errorf("ParseEntry(%q) = %+v", name, e)
		}
	})
}
