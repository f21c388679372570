//go:build !race

package distribution_test

// uplinkLimit is how many times the artifact's bytes may go over the uplink
// of a gateway with fifty devices.
const uplinkLimit = 1.1
