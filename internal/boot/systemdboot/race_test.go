//go:build race

package systemdboot_test

// slower divides the work: the race detector costs that much,
// and there is one goroutine to a device.
const slower = 25
