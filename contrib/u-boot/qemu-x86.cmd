# Debian's u-boot-qemu, qemu-x86: this, then blocks.cmd, then boot.cmd. A GPT
# disk on virtio: env1, env2, a FAT partition with boot.scr, slots A and B.
setenv moult_iface virtio
setenv moult_dev 0
setenv moult_a 4
setenv moult_b 5
setenv moult_root /dev/vda
setenv moult_args 'console=ttyS0 panic=5 ro quiet'
setenv moult_load 'load virtio 0:$mender_boot_part_hex 1000000 boot/vmlinuz && setenv moult_size $filesize && load virtio 0:$mender_boot_part_hex 14000000 boot/initrd.img'
setenv moult_start 'zboot 1000000 $moult_size 14000000 $filesize'
