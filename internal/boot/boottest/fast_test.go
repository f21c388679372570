//go:build !race

package boottest_test

const slower = 1
