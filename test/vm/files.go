package main

// What stands in the files of an image.

const slotInitrd = `#!/bin/sh
export PATH=/bin; /bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
for m in /lib/modules/*.ko; do insmod $m; done
case "$(cat /proc/cmdline)" in *moult.slot=A*) disk=%s;; *) disk=%s;; esac
while ! [ -b $disk ]; do sleep 0.1; done
mount -t ext4 -o ro,noload $disk /root
umount /sys; umount /proc; umount /dev
exec switch_root /root /sbin/init
`

const slotInit = `#!/bin/sh
export PATH=/bin
b=/bin/busybox
$b mount -t devtmpfs dev /dev; $b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t tmpfs tmp /tmp
$b mount -t ext4 %s /data
%s$b ifconfig lo 127.0.0.1; $b ifconfig eth0 10.0.2.15; $b route add default gw 10.0.2.2
echo "vm: $($b cat /etc/moult/artifact_info) is up: $($b cat /proc/cmdline)"
while :; do moult-agent daemon; $b sleep 1; done
`
