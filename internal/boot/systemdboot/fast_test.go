//go:build !race

package systemdboot_test

const slower = 1
