package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

var outputs = []string{"table", "json", "jsonl", "name"}

// prints gives a command the flag -o.
func (p *program) prints(c *cobra.Command, run func(*cobra.Command, []string) error) *cobra.Command {
	c.Flags().StringVarP(&p.output, "output", "o", "table", strings.Join(outputs, ", "))
	c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(c *cobra.Command, args []string) error {
		if !slices.Contains(outputs, p.output) {
			return usage("-o %q; want one of %s", p.output, strings.Join(outputs, ", "))
		}
		return run(c, args)
	}
	return c
}

// A column is one of a table: its head, and its cell for an item.
type column[T any] struct {
	head string
	cell func(T) string
}

// printList prints items as -o says; json is one array, jsonl one object a line.
func printList[T any](p *program, items []T, columns []column[T], name func(T) string) error {
	if items == nil {
		items = []T{}
	}
	switch p.output {
	case "json":
		return indented(p.out, items)
	case "jsonl":
		e := json.NewEncoder(p.out)
		for _, it := range items {
			if err := e.Encode(it); err != nil {
				return err
			}
		}
		return nil
	case "name":
		for _, it := range items {
			fmt.Fprintln(p.out, name(it))
		}
		return nil
	}
	return printTable(p.out, items, columns)
}

func printTable[T any](out io.Writer, items []T, columns []column[T]) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for i, c := range columns {
		fmt.Fprint(w, tab(i), c.head)
	}
	fmt.Fprintln(w)
	for _, it := range items {
		for i, c := range columns {
			fmt.Fprint(w, tab(i), clean(c.cell(it)))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func tab(i int) string {
	if i == 0 {
		return ""
	}
	return "\t"
}

// A field is one line of a single thing's table.
type field struct{ name, value string }

// printOne prints one thing as -o says.
func printOne(p *program, v any, fields []field, name string) error {
	switch p.output {
	case "json":
		return indented(p.out, v)
	case "jsonl":
		return json.NewEncoder(p.out).Encode(v)
	case "name":
		_, err := fmt.Fprintln(p.out, name)
		return err
	}
	w := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	for _, f := range fields {
		if f.value != "" {
			fmt.Fprintf(w, "%s\t%s\n", f.name, clean(f.value))
		}
	}
	return w.Flush()
}

func indented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// clean keeps what devices say from steering a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '·'
		}
		return r
	}, s)
}

// ago says when something was, for people.
func ago(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// size says bytes, for people.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB"}
	f := float64(n)
	i := 0
	for ; f >= 1024 && i < len(units)-1; i++ {
		f /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
