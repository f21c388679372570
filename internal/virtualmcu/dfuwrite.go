package virtualmcu

// download takes one block, or the end of all.
func (u *USB) download(block uint16, p []byte) error {
	if len(p) > u.d.opts.Transfer {
		return u.stall(errSTALLEDPKT)
	}
	first := u.dfu.state == dfuIDLE
	if !first && u.dfu.state != dfuDNLOADIdle {
		return u.stall(errUNKNOWN)
	}
	if u.d.opts.Stack == StackNext {
		return u.downloadNext(block, p, first)
	}
	return u.downloadLegacy(p, first)
}

// downloadLegacy erases slot 1 before the first block, with dfuDNBUSY, and
// looks at no block number.
func (u *USB) downloadLegacy(p []byte, first bool) error {
	if !first {
		u.writeLegacy(p)
		return nil
	}
	if u.dfu.chosen && u.dfu.alt == 0 { // without SET_INTERFACE it is slot 1, too
		u.dfu.state, u.dfu.status = dfuERROR, errWRITE
		return nil
	}
	u.dfu.writer = writer{slots: u.d.loader.Slots, slot: 1}
	u.dfu.state = dfuDNBUSY
	held := append([]byte(nil), p...)
	generation := u.generation
	u.d.later(u.d.opts.Erase, func() {
		if u.generation != generation {
			return
		}
		if err := u.d.loader.Erase(1); err != nil {
			u.dfu.state, u.dfu.status = dfuERROR, errERASE
			u.d.settle()
			return
		}
		u.writeLegacy(held)
	})
	return nil
}

func (u *USB) writeLegacy(p []byte) {
	u.dfu.state = dfuDNLOADIdle
	err := u.dfu.writer.write(p)
	if err == nil && len(p) == 0 {
		u.dfu.state = dfuMANIFESTSync
		if err = u.dfu.writer.flush(); err == nil {
			err = u.d.loader.SetPending(false)
		}
	}
	if err != nil {
		u.dfu.state, u.dfu.status = dfuERROR, errWRITE
		u.d.settle()
	}
}

// downloadNext wants blocks from 0 on in sequence, and begins anew at 0: also
// when the number wraps.
func (u *USB) downloadNext(block uint16, p []byte, first bool) error {
	switch {
	case u.dfu.alt == 0: // the slot that runs
		return u.stall(errVENDOR)
	case first && len(p) == 0:
		return u.stall(errSTALLEDPKT)
	case block == 0:
		u.dfu.writer = writer{slots: u.d.loader.Slots, slot: 1, erasing: true}
	case first || block != u.dfu.block+1:
		return u.stall(errUNKNOWN)
	}
	u.dfu.block = block
	err := u.dfu.writer.write(p)
	u.dfu.state = dfuDNLOADSync
	if err == nil && len(p) == 0 {
		err = u.dfu.writer.flush()
		u.dfu.state = dfuMANIFESTSync
	}
	if err != nil {
		return u.stall(errUNKNOWN)
	}
	return nil
}

// upload reads a slot: the new stack only, in sequence.
func (u *USB) upload(block uint16, p []byte) (int, error) {
	first := u.dfu.state == dfuIDLE
	switch {
	case u.d.opts.Stack == StackLegacy, !first && u.dfu.state != dfuUPLOADIdle, len(p) > u.d.opts.Transfer:
		return 0, u.stall(errSTALLEDPKT)
	case block == 0:
		u.dfu.read = 0
	case first || block != u.dfu.block+1:
		return 0, u.stall(errUNKNOWN)
	}
	u.dfu.block = block
	n := min(len(p), u.d.loader.SlotSize()-u.dfu.read)
	if _, err := u.d.opts.Flash.ReadAt(p[:n], u.d.loader.Offset(int(u.dfu.alt))+int64(u.dfu.read)); err != nil {
		return 0, u.stall(errADDRESS)
	}
	u.dfu.read += n
	u.dfu.state = dfuUPLOADIdle
	if n < u.d.opts.Transfer {
		u.dfu.state = dfuIDLE
	}
	return n, nil
}
