package cli

import (
	"github.com/spf13/cobra"
)

const (
	pageSize  = 500 // the API's largest page
	listLimit = 100 // what a list shows unless told otherwise
)

// limited gives a list the flag --limit.
func limited(c *cobra.Command, limit *int) *cobra.Command {
	c.Flags().IntVar(limit, "limit", listLimit, "how many at most; 0 is all")
	return c
}

// collect reads pages until limit items are there, or all for 0, and says
// when there are more.
func collect[T any](p *program, limit int, fetch func(size int64, cursor string) (items []T, next string, err error)) ([]T, error) {
	var all []T
	for cursor := ""; ; {
		want := int64(pageSize)
		if limit > 0 {
			want = min(want, int64(limit-len(all)))
		}
		items, next, err := fetch(want, cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		switch {
		case next == "":
			return all, nil
		case limit > 0 && len(all) >= limit:
			p.say("more follow; --limit 0 lists all")
			return all, nil
		}
		cursor = next
	}
}
