package artifact

import (
	"archive/tar"
	"io"
	"slices"
	"strings"
)

const payloadFolder = "headers/0000/"

// A headerParser fills a Header from the entries of header.tar:
//
//	rank 0  header-info                 first
//	rank 1  scripts/<State>_<Action>_NN any number, in any order
//	rank 2  headers/0000/files          version 2 only
//	rank 3  headers/0000/type-info      required
//	rank 4  headers/0000/meta-data      optional
type headerParser struct {
	*Header
	limits  Limits
	entries *entries
	rank    int
	seen    map[string]bool
	files   []string // of version 2
	// payloadNull: header-info has a payload without a type
	payloadNull bool
}

func (p *headerParser) parse() error {
	p.seen = map[string]bool{}
	for {
		h, err := p.entries.next()
		if err == io.EOF {
			return p.finish()
		}
		if err != nil {
			return err
		}
		if err := p.parseEntry(h); err != nil {
			return err
		}
	}
}

func (p *headerParser) parseEntry(h *tar.Header) error {
	where := p.entries.path(h.Name)
	rank, err := p.rankOf(h.Name, where)
	if err != nil || rank < 0 {
		return err
	}
	if rank < p.rank || rank > 0 && !p.seen["header-info"] {
		return broken(RuleOrder, where, "out of order")
	}
	p.rank, p.seen[h.Name] = rank, true
	limit := int64(maxJSON)
	if rank == 1 {
		limit = p.limits.HeaderUnpacked
	}
	b, err := p.entries.read(h, limit)
	if err != nil {
		return err
	}
	return p.parseContent(h.Name, b, where)
}

// rankOf returns where in the order name belongs, or -1 to ignore it.
func (p *headerParser) rankOf(name, where string) (int, error) {
	switch {
	case name == "header-info":
		return 0, nil
	case strings.HasPrefix(name, "scripts/"):
		return 1, nil
	case name == payloadFolder+"files" && p.Version == 2:
		return 2, nil
	case name == payloadFolder+"type-info":
		return 3, nil
	case name == payloadFolder+"meta-data":
		return 4, nil
	case p.Version == 2 && isLeftover(name):
		return -1, nil
	case strings.HasPrefix(name, "headers/") && !strings.HasPrefix(name, payloadFolder):
		return 0, broken(RuleTwoPayloads, where, "not of payload 0000")
	}
	return 0, broken(RuleUnknown, where, "no part of a header")
}

// isLeftover reports whether name is from version 1 and means nothing since.
func isLeftover(name string) bool {
	name, ok := strings.CutPrefix(name, payloadFolder)
	folder, _, _ := strings.Cut(name, "/")
	return ok && slices.Contains([]string{"checksums", "signatures", "scripts"}, folder)
}

func (p *headerParser) parseContent(name string, b []byte, where string) error {
	switch p.rank {
	case 1:
		return p.addScript(strings.TrimPrefix(name, "scripts/"), b, where)
	case 4:
		return p.setMetaData(b, where)
	}
	o, err := parseObject(b, where)
	if err != nil {
		return err
	}
	switch {
	case p.rank == 3:
		p.typeInfo(o)
	case p.rank == 2:
		p.files, _ = o.texts("files")
	case p.Version == 2:
		p.headerInfo2(o)
	default:
		p.headerInfo3(o)
	}
	return o.done()
}

func (p *headerParser) addScript(name string, body []byte, where string) error {
	if err := checkScriptName(name); err != nil {
		return broken(RuleScript, where, "%v", err)
	}
	if len(p.Scripts) == p.limits.Scripts {
		return broken(RuleSize, where, "more than %d scripts", p.limits.Scripts)
	}
	p.Scripts = append(p.Scripts, Script{Name: name, Body: body})
	return nil
}

func (p *headerParser) setMetaData(b []byte, where string) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := parseObject(b, where); err != nil {
		return err
	}
	p.MetaData = b
	return nil
}

func (p *headerParser) finish() error {
	for _, name := range []string{"header-info", payloadFolder + "type-info"} {
		if !p.seen[name] {
			return broken(RuleMissing, p.entries.path(name), "not there")
		}
	}
	if p.PayloadType == "" && len(p.Files) > 0 {
		return broken(RuleType, p.entries.path("header-info"), "files without a payload type")
	}
	return p.checkFiles()
}

// checkFiles compares the list of version 2 with the manifest.
func (p *headerParser) checkFiles() error {
	if p.Version != 2 {
		return nil
	}
	listed := []string{}
	for _, f := range p.Files {
		listed = append(listed, f.Name)
	}
	slices.Sort(listed)
	slices.Sort(p.files)
	if !slices.Equal(listed, p.files) {
		return broken(RuleManifest, p.entries.path(payloadFolder+"files"), "lists %q, the manifest %q", p.files, listed)
	}
	return nil
}
