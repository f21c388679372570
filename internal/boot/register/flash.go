package register

// A Flash is where a Register is kept: two sectors, erased to ones, programmed
// in units. NOR flash is one; so are files and block devices, see Disk.
type Flash interface {
	SectorSize() int  // bytes of each of the two sectors
	ProgramUnit() int // bytes programmed at once; divides SectorSize

	// ReadAt fills p from off. An error, such as one of a checksum that the
	// flash keeps itself, makes the cell that was read invalid.
	ReadAt(p []byte, off int64) (int, error)
	// Program stores p, whole units, at off, on units that were erased and not
	// programmed since. When it returned nil, p survives a power cut; a cut
	// during it may leave anything in these units, also bits that read
	// differently each time, but leaves all other units alone.
	Program(p []byte, off int64) error
	// Erase sets all bytes of sector 0 or 1 to 0xff. A cut during it may leave
	// anything in that sector.
	Erase(sector int) error
}
