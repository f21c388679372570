package artifact

// Limits bound what a file from outside may cost its reader.
// A zero field means the default beside it.
type Limits struct {
	Manifest       int64 // bytes of manifest; 0 means 1 MiB
	Header         int64 // bytes of header.tar as stored; 0 means 8 MiB
	HeaderUnpacked int64 // bytes of header.tar unpacked; 0 means 32 MiB
	Payload        int64 // bytes of data/0000.tar unpacked; 0 means 64 GiB
	Files          int   // payload files; 0 means 1024
	Scripts        int   // state scripts; 0 means 256
	Window         int64 // bytes of a decoder's dictionary; 0 means 64 MiB
}

// Limits that are part of the format, for readers and writers.
const (
	maxVersion   = 1 << 10  // bytes of version
	maxSignature = 4 << 10  // bytes of manifest.sig: base64 of a 16384-bit RSA signature is 2732
	maxJSON      = 1 << 20  // bytes of header-info, type-info, files or meta-data
	maxName      = 256      // characters of artifact name, group, device type
	maxEntry     = 100      // bytes of a file name as in the manifest, data/0000/ included
	maxPadding   = 64 << 10 // zero bytes after the end of a tar: blocking factors of usual tars
)

func (l Limits) orDefaults() Limits {
	fill(&l.Manifest, 1<<20)
	fill(&l.Header, 8<<20)
	fill(&l.HeaderUnpacked, 32<<20)
	fill(&l.Payload, 64<<30)
	fill(&l.Files, 1024)
	fill(&l.Scripts, 256)
	fill(&l.Window, 64<<20)
	return l
}

func fill[T int | int64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}
