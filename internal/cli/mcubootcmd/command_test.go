package mcubootcmd

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const vectors = "../../../mcuboot/testdata"

// run runs a command line and returns what it prints and its exit code. In it,
// @ is the folder of imgtool's vectors, and % the test's own.
func run(t *testing.T, own, line string) (out string, code int) {
	t.Helper()
	c := Command()
	c.SilenceErrors, c.SilenceUsage = true, true
	var b bytes.Buffer
	c.SetOut(&b)
	c.SetErr(&b)
	line = strings.NewReplacer("@", vectors+"/", "%", own+"/").Replace(line)
	args := strings.Fields(line)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "_", " ")
	}
	c.SetArgs(args)
	err := c.Execute()
	var coded interface{ ExitCode() int }
	switch {
	case errors.As(err, &coded):
		code = coded.ExitCode()
	case err != nil:
		code = 1
	}
	if err != nil {
		b.WriteString(err.Error())
	}
	return b.String(), code
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSignLikeImgtool makes what imgtool 2.5.0 made: all of it where the
// signature is not of chance, else up to the last area.
func TestSignLikeImgtool(t *testing.T) {
	for name, tt := range map[string]struct {
		args string
		same int // bytes; 0: all
	}{
		"ed25519":                  {args: "-k @ed25519.pem -v 1.2.3+4 -H 0x200 --pad-header"},
		"ecdsa-p256":               {"-k @ecdsa-p256.pem -v 1.2.3+4 -H 0x200 --pad-header", 0x200 + 1000 + 2},
		"rsa-2048":                 {"-k @rsa-2048.pem -v 1.2.3+4 -H 512 --pad-header", 1848 - 256},
		"rsa-3072":                 {"-k @rsa-3072.pem -v 1.2.3+4 -H 0x200 --pad-header", 1976 - 384},
		"protected":                {"-k @ecdsa-p256.pem -v 2.0.1 -H 0x20 --pad-header -s 6 -d (1,1.2.3+0) --custom-tlv 0xa0=hello", 0x20 + 1000 + 37 + 2},
		"encrypted-x25519-128":     {"-k @ed25519.pem -v 1.0.0 -H 0x20 --pad-header -E @x25519.pem", 0x20},
		"encrypted-ecdsa-p256-256": {"-k @ecdsa-p256.pem -v 1.0.0 -H 0x20 --pad-header -E @ecdsa-p256.pem --encrypt-keylen 256", 0x20},
	} {
		dir := t.TempDir()
		if out, code := run(t, dir, "sign "+tt.args+" @vectors/payload.bin %out.bin"); code != 0 {
			t.Errorf("%s: exit code %d: %s", name, code, out)
			continue
		}
		got, want := read(t, filepath.Join(dir, "out.bin")), read(t, vectors+"/vectors/"+name+".bin")
		if tt.same > 0 {
			got, want = got[:tt.same], want[:tt.same]
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: differs from imgtool's\n%x\n%x", name, got, want)
		}
	}
}

func TestPadLikeImgtool(t *testing.T) {
	for name, args := range map[string]string{
		"pad-8": "--align 8 --pad", "pad-16": "--max-align 16 --pad", "pad-32": "--align 1 --max-align 32 --pad",
		"confirm-8": "--confirm", "confirm-16": "--max-align 16 --confirm", "confirm-32": "--align 4 --max-align 32 --pad --confirm",
	} {
		dir := t.TempDir()
		out, code := run(t, dir, "sign -k @ed25519.pem -v 1.0.0 -H 0x20 --pad-header -S 6144 -M 8 "+args+" @vectors/payload.bin %out.bin")
		if code != 0 {
			t.Errorf("%s: exit code %d: %s", name, code, out)
			continue
		}
		got, want := read(t, filepath.Join(dir, "out.bin")), read(t, vectors+"/vectors/"+name+".bin")
		if len(got) != len(want) || !bytes.Equal(got[2048:], want[2048:]) {
			t.Errorf("%s: the slot's end differs from imgtool's\n%x\n%x", name, got[len(got)-300:], want[len(want)-300:])
		}
	}
}

// A header that the build left blank is signed as zeros.
func TestRoomForTheHeader(t *testing.T) {
	dir := t.TempDir()
	program := append(make([]byte, 0x200), "program"...)
	if err := os.WriteFile(filepath.Join(dir, "zephyr.bin"), program, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := run(t, dir, "sign -k @ed25519.pem -v 1.2.3 -H 0x200 -s auto %zephyr.bin %out.bin"); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	got := read(t, filepath.Join(dir, "out.bin"))
	if !bytes.Equal(got[32:0x200+7], program[32:]) {
		t.Errorf("header and program are %x", got[32:0x200+7])
	}
	if out, _ := run(t, dir, "info %out.bin"); !strings.Contains(out, "security counter   16908291") { // 1<<24 + 2<<16 + 3
		t.Errorf("info: %s", out)
	}
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	spoiled := read(t, vectors+"/vectors/ed25519.bin")
	spoiled[700] ^= 1
	if err := os.WriteFile(filepath.Join(dir, "spoiled.bin"), spoiled, 0o644); err != nil {
		t.Fatal(err)
	}
	const sign = "sign @vectors/payload.bin %no.bin "
	const full = sign + "-k @ed25519.pem -v 1.0.0 -H 0x20 --pad-header "
	for _, tt := range []struct {
		line string
		code int
		says string
	}{
		{"verify @vectors/ed25519.bin", 0, "not verified"},
		{"verify @vectors/ed25519.bin -k @ed25519.pem", 0, "signed and verified"},
		{"verify @vectors/ed25519.bin -k @rsa-2048.pem -k @ed25519.pem", 0, "signed and verified"},
		{"verify @vectors/ed25519.bin -k @rsa-2048.pem", 8, "signed by none"},
		{"verify %spoiled.bin", 8, "hash"},
		{"verify @vectors/payload.bin", 1, "not an MCUboot image"},
		{"verify @vectors/encrypted-x25519-128.bin -k @ed25519.pem", 8, "--decrypt"},
		{"verify @vectors/encrypted-x25519-128.bin -k @ed25519.pem --decrypt @x25519.pem", 0, "signed and verified"},
		{"verify @vectors/encrypted-x25519-128.bin --decrypt @ecdsa-p256.pem", 8, "not encrypted for this key"},
		{"verify @vectors/ed25519.bin -k @vectors/payload.bin", 1, "no PEM"},
		{"verify", 2, "FILE"},
		{"info %spoiled.bin", 0, "WRONG"},
		{"info @vectors/encrypted-x25519-128.bin", 0, "aes-128"},
		{"info @vectors/protected.bin", 0, "image 1, at least 1.2.3"},
		{"info @vectors/protected.bin --json", 0, `"security_counter": 6`},
		{"info @vectors/pad-8.bin", 0, "followed by"},
		{"info %gone.bin", 1, "no such file"},
		{sign, 2, "--key"},
		{sign + "-k @ed25519.pem", 2, "--version"},
		{sign + "-k @ed25519.pem -v 1.0.0", 2, "--header-size"},
		{sign + "-k @ed25519.pem -v 1.256.0 -H 0x20", 2, "8 bits"},
		{sign + "-k @ed25519.pem -v 1.0.0 -H 8", 2, "at least 32"},
		{sign + "-k @ed25519.pem -v 1.0.0 -H 0x20", 1, "--pad-header"},
		{sign + "-k @ed25519.pem -v 1.0.0 -H 0x800", 1, "no more than the header"},
		{sign + "-k @x25519.pem -v 1.0.0 -H 0x20", 2, "X25519"},
		{full + "--pad", 2, "--slot-size"},
		{full + "-S 1500", 2, "does not fit"}, // beside the states of 128 sectors
		{full + "-S 1500 --overwrite-only", 0, ""},
		{full + "-S 2000 --align 3", 2, "--align"},
		{full + "-S 2000 --max-align 4", 2, "--max-align"},
		{full + "-d 1:2.0", 2, "--dependencies"},
		{full + "-s -1", 2, "security-counter"},
		{full + "--vid example.com", 2, "UUID"},
		{full + "--custom-tlv 0x10=x", 1, "custom TLV"},
		{full + "--erased-val 1", 2, "erased-val"},
		{full + "--encrypt @ed25519.pem", 1, "want P-256"},
		{full + "--encrypt @x25519.pem --encrypt-keylen 64", 2, "keylen"},
		{full + "--load-addr 1 --rom-fixed 2", 2, "give one"},
		{full + "--pure", 2, "--pure is not supported"},
		{full + "--boot-record app", 2, "--boot-record is not supported"},
		{full + "--nonsense", 2, "nonsense"},
		{"sign -k @ed25519.pem -v 1.0.0 -H 0x20 a.hex %no.bin", 2, "Intel HEX"},
		{"key generate", 2, "--key"},
		{"key generate -t p384 -k %k", 2, "p384"},
		{"key generate -k %spoiled.bin", 1, "exists"},
		{"key public -k @ed25519.pem -e nonsense", 2, "nonsense"},
		{"key public -k @ecdsa-p256.pem -e lang-c", 0, "ecdsa_pub_key_len = 91;"},
		{"key public -k @rsa-2048.pem -e lang-c", 0, "rsa_pub_key_len = 270;"},
		{"key public -k @rsa-2048.pem", 0, "RSA PUBLIC KEY"},
		{"nonsense", 2, "nonsense"},
	} {
		out, code := run(t, dir, tt.line)
		if code != tt.code || !strings.Contains(out, tt.says) {
			t.Errorf("mcuboot %s: exit code %d, want %d, saying %q:\n%s", tt.line, code, tt.code, tt.says, out)
		}
		if _, err := os.Stat(filepath.Join(dir, "no.bin")); (err == nil) != (code == 0 && strings.HasPrefix(tt.line, "sign")) {
			t.Errorf("mcuboot %s: an image was left: %v", tt.line, err)
		}
		os.Remove(filepath.Join(dir, "no.bin"))
	}
}

// All kinds of keys that are made sign what their public half verifies, and
// encrypt what they decrypt.
func TestKeys(t *testing.T) {
	const sign = "sign -v 1.0.0 -H 0x20 --pad-header @vectors/payload.bin %out.bin "
	for kind, encrypts := range map[string]bool{"ed25519": false, "ecdsa-p256": true, "rsa-2048": true, "rsa-3072": false, "x25519": true} {
		dir := t.TempDir()
		lines := []string{"key generate -k %k.pem -t " + kind}
		if kind != "x25519" {
			lines = append(lines, sign+"-k %k.pem", "verify %out.bin -k %k.pem")
		}
		if encrypts {
			lines = append(lines, sign+"-k @ed25519.pem -E %k.pub", "verify %out.bin -k @ed25519.pem --decrypt %k.pem")
		}
		for i, line := range lines {
			if out, code := run(t, dir, line); code != 0 {
				t.Errorf("%s: mcuboot %s: exit code %d: %s", kind, line, code, out)
			}
			if i > 0 {
				continue
			}
			if stat, err := os.Stat(filepath.Join(dir, "k.pem")); err != nil || stat.Mode() != 0o600 {
				t.Errorf("%s: mode %v, %v", kind, stat.Mode(), err)
			}
			public, _ := run(t, dir, "key public -k %k.pem")
			if err := os.WriteFile(filepath.Join(dir, "k.pub"), []byte(public), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
