//go:build !race

package grub_test

const slower = 1
