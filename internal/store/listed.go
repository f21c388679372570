package store

import (
	"strconv"
	"strings"

	"github.com/moult-ota/moult/internal/device"
)

// listed is how many devices one statement names. It always names as many,
// the last one again and again, so that the statement stays prepared.
const listed = 50

// placeholders returns the list that starts with $first.
func placeholders(first int) string {
	all := make([]string, listed)
	for i := range all {
		all[i] = "$" + strconv.Itoa(first+i)
	}
	return strings.Join(all, ", ")
}

// places returns the arguments for a list, after those before it.
func places(part []device.ID, before ...any) []any {
	for i := range listed {
		before = append(before, part[min(i, len(part)-1)])
	}
	return before
}
