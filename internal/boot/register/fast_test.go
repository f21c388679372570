//go:build !race

package register_test

const slower = 1
