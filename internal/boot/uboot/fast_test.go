//go:build !race

package uboot_test

const slower = 1
