//go:build race

package register_test

// slower divides the work: the race detector costs about this much.
const slower = 10
