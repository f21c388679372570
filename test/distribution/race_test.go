//go:build race

package distribution_test

// uplinkLimit under the race detector, with which fifty devices on two cores
// are too slow for a carousel and miss a part of it.
const uplinkLimit = 3.0
