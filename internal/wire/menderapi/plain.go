package menderapi

// Check-ins are most of what a server reads, and nearly all are plain: one
// object in one, texts without escapes. Those are read here in one pass, and
// whatever is different by encoding/json; FuzzPlain holds the two together.

// plainNext reads a body for NextPath, if it is plain.
func plainNext(src string) (r NextRequest, ok bool) {
	p := plain{src: src}
	ok = p.object(func(name string) bool {
		switch name {
		case "device_provides":
			if r.Provides != nil {
				return false // encoding/json knows what twice means
			}
			r.Provides, ok = p.texts()
			return ok
		case "update_control_map":
			r.ControlMap = p.word("true")
			return r.ControlMap || p.word("false")
		}
		return false
	})
	return r, ok && p.end()
}

// plain is JSON being read. Its methods step over space, then take what they
// are named for or report false.
type plain struct {
	src string
	at  int
}

func (p *plain) word(w string) bool {
	for p.at < len(p.src) && (p.src[p.at] == ' ' || p.src[p.at] == '\n' || p.src[p.at] == '\t' || p.src[p.at] == '\r') {
		p.at++
	}
	if len(p.src)-p.at < len(w) || p.src[p.at:p.at+len(w)] != w {
		return false
	}
	p.at += len(w)
	return true
}

func (p *plain) end() bool { return p.word("") && p.at == len(p.src) }

// text takes a string of printable ASCII without escapes.
func (p *plain) text() (string, bool) {
	if !p.word(`"`) {
		return "", false
	}
	for i := p.at; i < len(p.src); i++ {
		switch c := p.src[i]; {
		case c == '"':
			s := p.src[p.at:i]
			p.at = i + 1
			return s, true
		case c == '\\' || c < ' ' || c > '~':
			return "", false
		}
	}
	return "", false
}

// object takes an object; member takes the value that follows a name.
func (p *plain) object(member func(name string) bool) bool {
	if !p.word("{") {
		return false
	}
	if p.word("}") {
		return true
	}
	for {
		name, ok := p.text()
		if !ok || !p.word(":") || !member(name) {
			return false
		}
		if p.word("}") {
			return true
		}
		if !p.word(",") {
			return false
		}
	}
}

// texts takes an object of texts.
func (p *plain) texts() (map[string]string, bool) {
	m := map[string]string{}
	ok := p.object(func(name string) (ok bool) {
		m[name], ok = p.text()
		return ok
	})
	return m, ok
}
