package register

// A sector is what one look at a sector of the flash showed.
type sector struct {
	end    int    // cells up to and with the last that is not blank
	valid  bool   // there is a valid record
	last   Record // the last valid record
	stable bool   // the last two cells in use are a pair: the same record, where it says it is
	failed int    // cells that could not be read
}

// dirty reports whether the sector was written to but shows nothing: a torn
// first record, or a torn erase. At the next look it may show something.
func (s sector) dirty() bool { return s.end > 0 && !s.valid }

// look reads a sector. Cells that cannot be read are in use and invalid.
func (r *Register) look(n int) (s sector) {
	end := 0 // of the last valid record
	for i := range r.cells {
		p, err := r.read(n, i)
		if err != nil {
			s.failed++
			s.end = i + 1
			continue
		}
		if blank(p) {
			continue
		}
		s.end = i + 1
		rec, _, err := ParseRecord(p)
		if err != nil {
			continue
		}
		s.stable = s.valid && rec == s.last && int(rec.First) == i-1 && end == i
		s.valid, s.last, end = true, rec, i+1
	}
	s.stable = s.stable && end == s.end
	return s
}

// read reads cell i of sector n. The bytes stay good until the next read.
func (r *Register) read(n, i int) ([]byte, error) {
	p := r.buf
	_, err := r.flash.ReadAt(p, r.offset(n, i))
	return p, err
}

func (r *Register) offset(n, i int) int64 {
	return int64(n)*int64(r.flash.SectorSize()) + int64(i)*int64(r.cell)
}

func blank(p []byte) bool {
	for _, b := range p {
		if b != 0xff {
			return false
		}
	}
	return true
}
