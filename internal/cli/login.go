package cli

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// maxToken bounds a token that is read, in bytes.
const maxToken = 512

type loginFlags struct {
	stdin, insecure   bool
	file, fingerprint string
}

func (p *program) loginCommand() *cobra.Command {
	var f loginFlags
	c := &cobra.Command{
		Use: "login URL", Short: "Check a token and keep it for a server", Args: takes("URL"),
		Long: "Check a token and keep it, readable by you alone. Without --token-stdin or --token-file it is asked for; it is never an argument, because others see those.",
		RunE: func(c *cobra.Command, args []string) error { return p.login(c, args[0], f) },
	}
	c.Flags().BoolVar(&f.stdin, "token-stdin", false, "read the token from standard input")
	c.Flags().StringVar(&f.file, "token-file", "", "read the token from a file")
	c.Flags().StringVar(&f.fingerprint, "tls-fingerprint", "", "trust exactly this self-signed certificate (SHA-256, hex)")
	c.Flags().BoolVar(&f.insecure, "insecure-http", false, "send the token over plain HTTP to another machine")
	return c
}

func (p *program) login(c *cobra.Command, server string, f loginFlags) error {
	if err := checkURL(server); err != nil {
		return err
	}
	u, _ := url.Parse(server)
	if u.Scheme == "http" && !f.insecure && !here(u.Hostname()) {
		return usage("plain HTTP to %s would show the token to the network; use https://, or --insecure-http", u.Host)
	}
	token, err := p.readToken(f)
	if err != nil {
		return err
	}
	a := account{Server: strings.TrimSuffix(server, "/"), Token: token, Fingerprint: f.fingerprint}
	api, err := a.client()
	if err != nil {
		return err
	}
	who, err := api.Whoami(c.Context())
	if err != nil {
		return fmt.Errorf("log in to %s: %w", server, err)
	}
	name := p.context
	if name == "" {
		name = u.Host
	}
	s, err := p.load()
	if err != nil {
		return err
	}
	s.Contexts[name], s.Current = &a, name
	if err := p.save(s); err != nil {
		return err
	}
	p.say("logged in to %s as %q (%s), context %q", server, who.Name, strings.Join(who.Scopes, ", "), name)
	return nil
}

func here(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (p *program) readToken(f loginFlags) (string, error) {
	var text []byte
	var err error
	in, isFile := p.in.(*os.File)
	switch {
	case f.file != "":
		text, err = os.ReadFile(f.file)
	case f.stdin:
		text, err = io.ReadAll(io.LimitReader(p.in, maxToken+1))
	case isFile && term.IsTerminal(int(in.Fd())):
		fmt.Fprint(p.err, "token: ")
		text, err = term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(p.err)
	default:
		return "", usage("no token: give it with --token-stdin or --token-file")
	}
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || len(token) > maxToken {
		return "", usage("read token: got %d bytes, want 1 to %d", len(token), maxToken)
	}
	return token, nil
}

func (p *program) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "Forget the token of the current context", Args: takes(),
		Long: "Forget the token of the current context, or of --context. The server keeps it: `moult token delete` ends it there.",
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := p.load()
			if err != nil {
				return err
			}
			name := p.context
			if name == "" {
				name = s.Current
			}
			if s.Contexts[name] == nil {
				return exit(exitNotFound, "not logged in")
			}
			return p.forget(s, name)
		},
	}
}

func (p *program) forget(s *settings, name string) error {
	delete(s.Contexts, name)
	if s.Current == name {
		s.Current = ""
	}
	if err := p.save(s); err != nil {
		return err
	}
	p.say("context %q is forgotten", name)
	return nil
}

func (p *program) whoamiCommand() *cobra.Command {
	c := &cobra.Command{Use: "whoami", Short: "Say who you are to the server", Args: takes()}
	return p.prints(c, func(c *cobra.Command, _ []string) error {
		api, err := p.connect()
		if err != nil {
			return err
		}
		who, err := api.Whoami(c.Context())
		if err != nil {
			return err
		}
		return printOne(p, who, []field{{"server", api.Server}, {"token", who.Name}, {"id", who.ID}, {"scopes", strings.Join(who.Scopes, ", ")}}, who.Name)
	})
}

func (p *program) contextCommand() *cobra.Command {
	list := p.prints(&cobra.Command{Use: "list", Short: "List the servers that are known", Args: takes()}, p.listContexts)
	use := &cobra.Command{Use: "use NAME", Short: "Make a context the current one", Args: takes("NAME"), RunE: func(_ *cobra.Command, args []string) error {
		s, err := p.load()
		if err != nil {
			return err
		}
		if s.Contexts[args[0]] == nil {
			return exit(exitNotFound, "no context %q; `moult context list` shows them", args[0])
		}
		s.Current = args[0]
		return p.save(s)
	}}
	remove := &cobra.Command{Use: "delete NAME", Short: "Forget a context and its token", Args: takes("NAME"), RunE: func(_ *cobra.Command, args []string) error {
		s, err := p.load()
		if err != nil {
			return err
		}
		if s.Contexts[args[0]] == nil {
			return exit(exitNotFound, "no context %q; `moult context list` shows them", args[0])
		}
		return p.forget(s, args[0])
	}}
	return group(&cobra.Command{Use: "context", Short: "Choose between servers"}, list, use, remove)
}

// A contextLine is what `context list` prints: never the token.
type contextLine struct {
	Name    string `json:"name"`
	Server  string `json:"server"`
	Current bool   `json:"current"`
}

func (p *program) listContexts(*cobra.Command, []string) error {
	s, err := p.load()
	if err != nil {
		return err
	}
	var lines []contextLine
	for _, name := range slices.Sorted(maps.Keys(s.Contexts)) {
		lines = append(lines, contextLine{name, s.Contexts[name].Server, name == s.Current})
	}
	return printList(p, lines, []column[contextLine]{
		{"CURRENT", func(l contextLine) string { return map[bool]string{true: "*"}[l.Current] }},
		{"NAME", func(l contextLine) string { return l.Name }},
		{"SERVER", func(l contextLine) string { return l.Server }},
	}, func(l contextLine) string { return l.Name })
}
