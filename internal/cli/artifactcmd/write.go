package artifactcmd

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/cli/usage"
)

// A writer collects the flags of `artifact write` into a Spec.
type writer struct {
	spec           artifact.Spec
	software       artifact.Software
	files, scripts []string
	fileName       string            // in the artifact; empty: as the file's
	carried        map[string]string // provides of the device that the image came from
	compatible     []string          // more device types
	metaData, key  string
	provides       []string
	depends        []string
	clears         []string
	compression    string
	version        int
	floor          int64 // security version; negative for none

	noVersion, noClears, noChecksum, legacyChecksum bool

	output           string
	json, noProgress bool
}

func (w *writer) commonFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&w.spec.Name, "artifact-name", "n", "", "name of the artifact (required)")
	f.StringArrayVarP(&w.spec.DeviceTypes, "device-type", "t", nil, "device type that the artifact fits; repeat for several (required)")
	f.StringArrayVarP(&w.compatible, "compatible-types", "c", nil, "same as --device-type")
	f.StringArrayVarP(&w.provides, "provides", "p", nil, "`KEY:VALUE` that is installed with the artifact; repeat for several")
	f.StringVarP(&w.spec.Group, "provides-group", "g", "", "artifact group that is installed with the artifact")
	f.StringArrayVar(&w.clears, "clears-provides", nil, "`PATTERN` of provides that installing clears; repeat for several")
	f.StringVarP(&w.output, "output-path", "o", "artifact.mender", "where to write the artifact")
	f.StringVarP(&w.key, "key", "k", "", "private key (PEM) to sign with")
	f.StringVar(&w.compression, "compression", "gzip", "none, gzip, zstd, zstd_fastest, zstd_fast, zstd_better or zstd_best; mender-client before 3.5 cannot read zstd")
	f.IntVarP(&w.version, "version", "v", 3, "version of the format; only 3 is written")
	f.BoolVar(&w.json, "json", false, "print what was written as JSON")
	f.BoolVar(&w.noProgress, "no-progress", false, "no progress bar")
}

func (w *writer) dependsFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVarP(&w.spec.DependsNames, "artifact-name-depends", "N", nil, "artifact name that must be installed, or one of several")
	f.StringArrayVarP(&w.spec.DependsGroups, "depends-groups", "G", nil, "artifact group that must be installed, or one of several")
	f.StringArrayVarP(&w.depends, "depends", "d", nil, "`KEY:VALUE` that must be installed; repeat a key for one of several values")
}

func (w *writer) payloadFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVarP(&w.scripts, "script", "s", nil, "state `SCRIPT`, such as ArtifactInstall_Enter_00; repeat for several")
	f.StringVar(&w.software.Filesystem, "software-filesystem", "rootfs-image", "first part of the software's keys")
	f.StringVar(&w.software.Name, "software-name", "", "second part of the software's keys")
	f.StringVar(&w.software.Version, "software-version", "", "software version; default is the artifact name")
	f.Int64Var(&w.floor, "security-version", -1, "rollback floor: devices refuse artifacts with a lower one from then on")
	f.BoolVar(&w.noVersion, "no-default-software-version", false, "no software version among the provides")
	f.BoolVar(&w.noClears, "no-default-clears-provides", false, "clear only what --clears-provides says; without it, everything")
}

func writeRootfs() *cobra.Command {
	w := &writer{}
	var from source
	c := &cobra.Command{Use: "rootfs-image", Short: "Write an artifact that replaces the root file system", Args: none, Long: rootfsLong,
		RunE: func(c *cobra.Command, _ []string) error {
			if from.name == "" {
				return usage.Errorf("which image? --file IMAGE, or ssh://USER@DEVICE")
			}
			w.spec.PayloadType = "rootfs-image"
			done, err := from.open(c, w)
			if err != nil {
				return err
			}
			defer done()
			switch {
			case w.legacyChecksum:
				w.spec.ChecksumKey = "rootfs_image_checksum"
			case !w.noChecksum:
				w.spec.ChecksumKey = "rootfs-image.checksum"
			}
			return w.run(c)
		}}
	w.commonFlags(c)
	w.dependsFlags(c)
	w.payloadFlags(c)
	from.flags(c.Flags())
	c.Flags().BoolVar(&w.noChecksum, "no-checksum-provide", false, "no checksum among the provides")
	c.Flags().BoolVar(&w.legacyChecksum, "legacy-rootfs-image-checksum", false, "provide the checksum as rootfs_image_checksum")
	return c
}

const rootfsLong = `Write an artifact that replaces the root file system.

The image is a file; or a device that runs, ssh://[user@]host[:port], whose root file system is frozen, copied and thawed by
moult-agent snapshot there; or a block device; or a directory, of which an ext4 is made. What does not come from a file is checked with
e2fsck, and ends where its file system ends. A device also says its type, and what its root file system provides, unless flags do.`

func writeModule() *cobra.Command {
	w := &writer{}
	c := &cobra.Command{Use: "module-image", Short: "Write an artifact for an update module", Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			if w.spec.PayloadType == "" {
				return usage.Errorf("which update module? --type NAME")
			}
			if w.software.Name == "" && !c.Flags().Changed("software-name") {
				w.software.Name = w.spec.PayloadType
			}
			return w.run(c)
		}}
	w.commonFlags(c)
	w.dependsFlags(c)
	w.payloadFlags(c)
	f := c.Flags()
	f.StringVarP(&w.spec.PayloadType, "type", "T", "", "payload type: the name of the update module (required)")
	f.StringArrayVarP(&w.files, "file", "f", nil, "`FILE` for the module; repeat for several")
	f.StringVarP(&w.metaData, "meta-data", "m", "", "`FILE` with a JSON object for the module")
	return c
}

func writeBootstrap() *cobra.Command {
	w := &writer{noVersion: true, noClears: true, floor: -1}
	c := &cobra.Command{Use: "bootstrap-artifact", Short: "Write an artifact without a payload, for a new device", Args: none,
		RunE: func(c *cobra.Command, _ []string) error { return w.run(c) }}
	w.commonFlags(c)
	w.dependsFlags(c)
	return c
}

// pairs splits KEY:VALUE at the first colon.
func pairs(texts []string) (map[string][]string, error) {
	all := map[string][]string{}
	for _, text := range texts {
		key, value, ok := strings.Cut(text, ":")
		if !ok || key == "" {
			return nil, usage.Errorf("%q is not KEY:VALUE", text)
		}
		all[key] = append(all[key], value)
	}
	return all, nil
}
