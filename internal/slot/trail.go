package slot

// A trail reads an image back behind its Writer: one function reads, another
// sums what was read.
type trail struct {
	readAt readAt
	ask    chan int64 // how far may be read; the newest counts
	free   chan []byte
	full   chan []byte
	done   chan struct{}
	over   bool // ask is closed
	sums   *sums
	err    error
}

func newTrail(r readAt) *trail {
	const buffers = 2
	t := &trail{
		readAt: r, ask: make(chan int64, 1), done: make(chan struct{}), sums: newSums(),
		free: make(chan []byte, buffers), full: make(chan []byte, buffers),
	}
	for range buffers {
		t.free <- Aligned(chunk)
	}
	return t
}

// read reads as far as it may, until stop.
func (t *trail) read() {
	defer close(t.full)
	var off int64
	for end := range t.ask {
		for t.err == nil && off < end {
			var p []byte
			if p, t.err = t.readAt.piece(<-t.free, off, end); t.err == nil {
				off += int64(len(p))
				t.full <- p
			}
		}
	}
}

// sum sums what was read, until there is no more.
func (t *trail) sum() {
	defer close(t.done)
	for p := range t.full {
		t.sums.add(p)
		t.free <- p[:chunk]
	}
}

// upTo lets the trail read the bytes before end, a multiple of the page but
// for the last time. It does not wait.
func (t *trail) upTo(end int64) {
	select {
	case <-t.ask: // not taken yet, and outdated
	default:
	}
	t.ask <- end
}

// stop lets the trail end what it was asked for, and waits for it.
func (t *trail) stop() {
	if !t.over {
		t.over = true
		close(t.ask)
	}
	<-t.done
}
