// Package mcuboot reads, checks, signs and encrypts images for MCUboot, the
// boot loader of microcontrollers, and knows what it decides by the trailers of
// its slots. FORMAT.md has the layouts, and which of MCUboot's options it
// follows.
//
// It is not MCUboot: it moves no image from slot to slot. An image counts for
// nothing until Verify returned nil.
package mcuboot
