package agent

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// asked are the settings that setup asks for, in this order.
var asked = []string{"device-type", "servers", "token", "verify-keys", "identity", "slot-a", "slot-b", "boot", "register", "boot-parts"}

// ask proposes what it finds for settings that flags and file left out. When
// somebody is there, they accept it with Enter, give something else, or leave
// it out with a minus; else it holds.
func (p *program) ask() {
	in := p.terminal()
	for _, name := range asked {
		if !p.wants(name) {
			continue
		}
		value := p.propose(name)
		if in != nil {
			value = p.answer(in, name, value)
		} else if value != "" {
			fmt.Fprintf(p.stdout, "found        %s %s\n", name, value)
		}
		if value != "" {
			p.config.settings.Set(name, value) // all of these take any text
		}
	}
}

// terminal is where somebody answers; nil when nobody does.
func (p *program) terminal() *bufio.Scanner {
	f, ok := p.stdin.(*os.File)
	if !ok {
		return nil
	}
	fi, err := f.Stat()
	if err != nil || fi.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(fi, null) {
		return nil
	}
	return bufio.NewScanner(f)
}

// answer asks for one setting. No answer is the one proposed.
func (p *program) answer(in *bufio.Scanner, name, proposed string) string {
	fmt.Fprintf(p.stdout, "%s (%s) [%s]: ", name, strings.ReplaceAll(p.config.settings.Lookup(name).Usage, "`", ""), proposed)
	text := ""
	if in.Scan() {
		text = strings.TrimSpace(in.Text())
	}
	switch text {
	case "":
		return proposed
	case "-":
		return ""
	}
	return text
}

// wants reports whether a setting is open, and of use with the others.
func (p *program) wants(name string) bool {
	c := p.config
	s := c.settings.Lookup(name)
	if s.Value.String() != s.DefValue {
		return false
	}
	switch name {
	case "token":
		return len(c.Servers) > 0
	case "identity":
		return c.IdentityCommand == ""
	case "boot":
		return c.SlotA != "" && c.Register == ""
	case "register":
		return c.SlotA != "" && c.Boot == "register"
	case "boot-parts":
		_, err := c.parts()
		return err != nil && c.SlotA != "" && c.Boot != "register" && c.Boot != "systemd-boot"
	}
	return true
}

// propose is what the device itself says about a setting; empty for nothing.
func (p *program) propose(name string) string {
	switch name {
	case "verify-keys":
		keys, _ := filepath.Glob(p.root + "/etc/moult/*.pub")
		return strings.Join(keys, ",")
	case "identity":
		if mac, err := firstMAC(p.root + "/sys/class/net"); err == nil {
			return "mac=" + mac
		}
	case "boot":
		return kind(p.root)
	case "boot-parts":
		return p.numbers()
	}
	return labeled(p.root, name)
}

// numbers are the numbers of the partitions that the slots are links to.
func (p *program) numbers() string {
	c := *p.config
	c.SlotA, _ = filepath.EvalSymlinks(c.SlotA)
	c.SlotB, _ = filepath.EvalSymlinks(c.SlotB)
	parts, err := c.parts()
	if err != nil {
		return ""
	}
	return parts[0] + "," + parts[1]
}
