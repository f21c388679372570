package session

// A window remembers which of the last 64 counters were seen.
//
//	counters   … end-64 … end-2 end-1 | end …
//	bit of seen    63   …   1     0   | not seen yet
type window struct {
	end  uint64 // one more than the highest counter seen
	seen uint64
}

const windowSize = 64

// old reports whether n lies before the window.
func (w *window) old(n uint64) bool { return n < w.end && w.end-n > windowSize }

// mark notes that n, which is not old, was seen, and reports whether it was
// new.
func (w *window) mark(n uint64) bool {
	if n >= w.end {
		w.seen = w.seen<<(n-w.end+1) | 1 // shifts of 64 and more leave nothing
		w.end = n + 1
		return true
	}
	bit := uint64(1) << (w.end - 1 - n)
	if w.seen&bit != 0 {
		return false
	}
	w.seen |= bit
	return true
}
