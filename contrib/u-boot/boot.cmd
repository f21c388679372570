# Starts slot A or B as Moult's agent set it, counts the starts of a trial, and
# goes back when there were too many. See docs/integrate/u-boot.md.
#
# Needs hush, test and what the two settings below run. What differs by board,
# in the environment or in lines put before these:
#   moult_iface, moult_dev   where the slots are: mmc 0, virtio 0, …
#   moult_a, moult_b         their partitions; moult_a_hex, moult_b_hex from 10 on
#   moult_root               the same for Linux, without the number
#   moult_args               more kernel arguments
#   moult_load, moult_start  load kernel and the rest from the slot; start them
#   moult_save               saves the environment
#   moult_counted            1: U-Boot counts itself (CONFIG_BOOTCOUNT_ENV)
test -n "$moult_iface" || setenv moult_iface mmc
test -n "$moult_dev" || setenv moult_dev 0
test -n "$moult_a" || setenv moult_a 2
test -n "$moult_b" || setenv moult_b 3
test -n "$moult_a_hex" || setenv moult_a_hex $moult_a
test -n "$moult_b_hex" || setenv moult_b_hex $moult_b
test -n "$moult_root" || setenv moult_root /dev/mmcblk0p
test -n "$moult_load" || setenv moult_load 'load $moult_iface $moult_dev:$mender_boot_part_hex $kernel_addr_r boot/Image && load $moult_iface $moult_dev:$mender_boot_part_hex $fdt_addr_r boot/board.dtb'
test -n "$moult_start" || setenv moult_start 'booti $kernel_addr_r - $fdt_addr_r'
test -n "$moult_save" || setenv moult_save saveenv
setenv moult_to_a 'setenv mender_boot_part $moult_a; setenv mender_boot_part_hex $moult_a_hex'
setenv moult_to_b 'setenv mender_boot_part $moult_b; setenv mender_boot_part_hex $moult_b_hex'
setenv moult_other 'if test "$mender_boot_part" = "$moult_a"; then run moult_to_b; else run moult_to_a; fi'
moult_dirty=0

# The first start makes an environment for the agent to find.
if test "$mender_saveenv_canary" != 1; then
	setenv mender_saveenv_canary 1
	moult_dirty=1
fi
if test "$mender_boot_part" = "$moult_b"; then run moult_to_b; else run moult_to_a; fi

if test "$upgrade_available" = 1; then
	test -n "$bootlimit" || setenv bootlimit 1
	test -n "$bootcount" || setenv bootcount 0
	if test "$moult_counted" != 1; then
		# Adding 1 without setexpr; what is not in the list is too many.
		moult_last="$bootcount"
		setenv bootcount 1000
		moult_n=0
		for moult_next in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
			if test "$moult_last" = "$moult_n"; then setenv bootcount $moult_next; fi
			moult_n=$moult_next
		done
		moult_dirty=1
	fi
	if test $bootcount -gt $bootlimit; then
		echo "moult: partition $mender_boot_part was started $bootlimit times and not confirmed, going back"
		run moult_other
		setenv upgrade_available 0
		setenv bootcount 0
		moult_dirty=1
	else
		echo "moult: start $bootcount of $bootlimit on trial"
	fi
fi

# A start that cannot be counted is not made.
if test $moult_dirty = 1; then
	if run moult_save; then true; else
		echo "moult: cannot save the environment"
		if test "$upgrade_available" = 1; then run moult_other; fi
	fi
fi

if test "$mender_boot_part" = "$moult_b"; then moult_slot=B; else moult_slot=A; fi
setenv bootargs "$moult_args root=$moult_root$mender_boot_part moult.slot=$moult_slot"
echo "moult: slot $moult_slot"
if run moult_load; then run moult_start; fi
echo "moult: slot $moult_slot does not start"
if test "$upgrade_available" = 1; then reset; fi
