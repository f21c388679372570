//go:build vm

package main

// What stands in the files of images that must not stay.

const crashingInit = `#!/bin/sh
echo "vm: init crashes"
exit 1
`

const panickingInitrd = `#!/bin/sh
/bin/busybox mount -t proc proc /proc
echo "vm: the kernel panics"
echo c >/proc/sysrq-trigger
`

const failingTest = `#!/bin/sh
echo "the sensor does not answer"
exit 1
`
