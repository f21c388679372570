package dfu_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/dfu"
	"github.com/moult-ota/moult/internal/child/dfu/dfutest"
	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// list is what dfu-util 0.11 says of a board in DFU mode, and of another.
const list = `Found DFU: [2fe3:ffff] ver=0100, devnum=3, cfg=1, intf=0, path="1-1.4", alt=1, name="image_1", serial="0001"
Found DFU: [2fe3:ffff] ver=0100, devnum=3, cfg=1, intf=0, path="1-1.4", alt=0, name="image_0", serial="0001"
Found DFU: [2fe3:ffff] ver=0100, devnum=4, cfg=1, intf=0, path="1-1", alt=7, name="image_1", serial="0002"
`

// util writes a dfu-util that says something about a download.
func util(t *testing.T, says string, code int) (program, folder string) {
	t.Helper()
	folder = t.TempDir()
	program = filepath.Join(folder, "dfu-util")
	text := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in\n*-l*) cat <<'E'\n%sE\n;;\n*) echo \"$@\" > %s/args; for f; do :; done; cp \"$f\" %s/sent; printf '%%b' '%s' >&2; exit %d;;\nesac\n",
		list, folder, folder, says, code)
	check(t, os.WriteFile(program, []byte(text), 0o755))
	return program, folder
}

func TestProgram(t *testing.T) {
	fine := `Download\t[========                 ]  33%         2048 bytes\rDownload\t[=========================] 100%         5000 bytes\nDownload done.\nDFU state(2) = dfuIDLE, status(0) = No error condition is present\nDone!\n`
	for _, tt := range []struct {
		name, says string
		code       int
		want       string // in the error
		is         error
	}{
		{"fine", fine, 0, "", nil},
		{"unplugged", `dfu-util: No DFU capable USB device available\n`, 74, "No DFU capable", child.ErrAway},
		{"lost", `dfu-util: Lost device after RESET?\n`, 74, "Lost device", child.ErrAway},
		{"lost midway", `Download\t[==     ]   8%          512 bytes\ndfu-util: Error during download get_status (LIBUSB_ERROR_NO_DEVICE)\n`, 74, "NO_DEVICE", child.ErrAway},
		{"not answered at the end, and still there", `dfu-util: unable to read DFU status after completion (LIBUSB_ERROR_IO)\n`, 74, "after completion", child.ErrAway},
		{"errWRITE", `state(10) = dfuERROR, status(3) = Device is unable to write memory\n`, 74, "the device says errWRITE", nil},
		{"errFILE", `state(10) = dfuERROR, status(2) = File fails some vendor-specific verification tests\n`, 74, "the device says errFILE", child.ErrRefused},
		{"something else", `dfu-util: Cannot claim interface\n`, 74, "exit status 74: dfu-util: Cannot claim interface", nil},
	} {
		d := gadget(nil).Start(true)
		program, folder := util(t, tt.says, tt.code)
		var told []int64
		err := on(t, d, func(o *dfu.Options) { o.Program, o.Folder = program, folder }).Send(t.Context(), image, func(n int64) { told = append(told, n) })
		if tt.want == "" && (err != nil || fmt.Sprint(told) != fmt.Sprint([]int64{2048, 5000, int64(len(image.Bytes))})) {
			t.Errorf("%s: Send = %v, told %d", tt.name, err, told)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: Send = %v, want %q in it", tt.name, err, tt.want)
		}
		if errors.Is(err, child.ErrAway) != (tt.is == child.ErrAway) || errors.Is(err, child.ErrRefused) != (tt.is == child.ErrRefused) {
			t.Errorf("%s: Send = %v, want it to be %v", tt.name, err, tt.is)
		}
		sent, rerr := os.ReadFile(filepath.Join(folder, "sent"))
		check(t, rerr)
		if _, body, found, err := wire.ParseSuffix(sent); err != nil || !found || !bytes.Equal(body, image.Bytes) {
			t.Errorf("%s: dfu-util got %d bytes, suffix: %v, %v", tt.name, len(body), found, err)
		}
		args, rerr := os.ReadFile(filepath.Join(folder, "args"))
		check(t, rerr)
		if want := "-p 1-1.4 -a 1 -D " + folder + "/send.bin\n"; string(args) != want {
			t.Errorf("%s: dfu-util was called with %q, want %q", tt.name, args, want)
		}
		if _, err := os.Stat(folder + "/send.bin"); !os.IsNotExist(err) {
			t.Errorf("%s: the image is left: %v", tt.name, err)
		}
	}
}

// TestProgramRefuses: what our own host would refuse never gets to dfu-util.
func TestProgramRefuses(t *testing.T) {
	program, folder := util(t, "", 0)
	c := on(t, gadget(nil).Start(true), func(o *dfu.Options) { o.Program, o.Folder, o.Alts = program, folder, []string{"other"} })
	if err := c.Send(t.Context(), image, nil); err == nil || !strings.Contains(err.Error(), `no setting called other, but ["image_1" "image_0"]`) {
		t.Errorf("Send = %v", err)
	}
	file := image
	file.Bytes = wire.AppendSuffix(bytes.Clone(image.Bytes), wire.Suffix{Product: wire.Any, Vendor: 1})
	if err := c.Send(t.Context(), file, nil); !errors.Is(err, child.ErrRefused) {
		t.Errorf("Send for another vendor = %v", err)
	}
	if _, err := os.Stat(folder + "/args"); !os.IsNotExist(err) {
		t.Errorf("dfu-util was called: %v", err)
	}
}

// TestProgramDfuSe: with DfuSe it is told the address, or finds it in the
// container.
func TestProgramDfuSe(t *testing.T) {
	container, err := wire.AppendContainer(nil, []wire.Target{{Elements: []wire.Element{{Address: slot1, Bytes: []byte{1}}}}})
	check(t, err)
	for _, tt := range []struct {
		file []byte
		want string
	}{{image.Bytes, "-s 0x8020000:leave "}, {container, "-s :leave "}} {
		program, folder := util(t, "", 0)
		d := gadget(func(d *dfutest.Device) { stm32(d); d.Alts = []string{"image_0", "image_1"} }).Start(true)
		c := on(t, d, func(o *dfu.Options) { o.Program, o.Folder, o.Address = program, folder, slot1 })
		file := image
		file.Bytes = tt.file
		check(t, c.Send(t.Context(), file, nil))
		if args, err := os.ReadFile(folder + "/args"); err != nil || !strings.Contains(string(args), tt.want) {
			t.Errorf("dfu-util was called with %q, %v, want %q in it", args, err, tt.want)
		}
	}
}
