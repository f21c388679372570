# For a U-Boot that was built without a place for its environment, such as
# Debian's qemu-x86: put this before boot.cmd, in the same script. It keeps two
# copies with counter as CONFIG_ENV_REDUNDANT does, 0x4000 bytes at the start
# of each of the GPT partitions env1 and env2. fw_env.config:
#   /dev/disk/by-partlabel/env1 0 0x4000
#   /dev/disk/by-partlabel/env2 0 0x4000
# env import and export know only copies without counter: the checksum moves by
# one byte. Memory from 8100000 to 8300100 is used.
part start virtio 0 env1 moult_env1
part start virtio 0 env2 moult_env2
virtio read 8100000 $moult_env1 20
virtio read 8200000 $moult_env2 20
for n in 1 2; do
	cp.b 8${n}00004 830000${n} 1
	cp.b 8${n}00000 8300010 4
	cp.b 8300010 8${n}00001 4
done

# The newer is the higher; 0 comes after 255.
moult_order="1 2"
if itest.b *8300002 > *8300001; then moult_order="2 1"; fi
if itest.b *8300001 == 0 && itest.b *8300002 == ff; then moult_order="1 2"; fi
if itest.b *8300001 == ff && itest.b *8300002 == 0; then moult_order="2 1"; fi
moult_in=0
for n in $moult_order; do
	if test $moult_in = 0; then
		if env import -c 8${n}00001 3fff; then moult_in=$n; fi
	fi
done

# What is saved next goes to the other copy, with any higher counter.
setenv moult_count 1
if test $moult_in != 0; then
	setenv moult_count ff
	if itest.b *830000${moult_in} == 0; then setenv moult_count 1; fi
	if itest.b *830000${moult_in} == ff; then setenv moult_count 0; fi
fi
setenv moult_copy 1
part start virtio 0 env1 moult_at
if test $moult_in = 1; then
	setenv moult_copy 2
	part start virtio 0 env2 moult_at
fi
setenv moult_save 'env export -c -s 3fff 8${moult_copy}00001 && cp.b 8${moult_copy}00001 8300010 4 && cp.b 8300010 8${moult_copy}00000 4 && mw.b 8${moult_copy}00004 $moult_count && virtio write 8${moult_copy}00000 $moult_at 20'
