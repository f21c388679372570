package cli

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/internal/atomicfile"
	external "github.com/moult-ota/moult/internal/broker/mqtt"
)

// brokerCommand is for brokers that others run.
func (p *program) brokerCommand() *cobra.Command {
	parent := &cobra.Command{Use: "broker", Short: "Set up a message broker that is not the embedded one", Args: takes()}
	config := &cobra.Command{Use: "config", Short: "Print a broker's configuration", Args: takes()}
	config.AddCommand(p.mosquittoCommand())
	parent.AddCommand(config)
	return parent
}

func (p *program) mosquittoCommand() *cobra.Command {
	m := external.Mosquitto{}
	var write bool
	c := &cobra.Command{
		Use: "mosquitto", Short: "Print mosquitto.conf and its ACL", Args: takes(),
		Long: "Print mosquitto.conf and the ACL file that it names, for Mosquitto 2.0. Clients show certificates whose common name is their id; " +
			"ca.pem, broker.pem and broker.key go into the folder beside them.",
		RunE: func(*cobra.Command, []string) error {
			if !write {
				_, err := fmt.Fprintf(p.out, "# %s\n%s\n# %s\n%s", filepath.Join(m.Folder, "mosquitto.conf"), m.Config(), filepath.Join(m.Folder, "acl"), m.ACL())
				return err
			}
			if err := atomicfile.Write(filepath.Join(m.Folder, "mosquitto.conf"), []byte(m.Config()), 0o644); err != nil {
				return err
			}
			return atomicfile.Write(filepath.Join(m.Folder, "acl"), []byte(m.ACL()), 0o644)
		},
	}
	f := c.Flags()
	f.IntVar(&m.Port, "port", 8883, "port for devices and the server")
	f.StringVar(&m.Folder, "folder", "/etc/mosquitto/moult", "where its files are")
	f.StringVar(&m.Server, "server-name", "moult-server", "common name in the server's certificate")
	f.StringArrayVar(&m.Gateways, "gateway", nil, "id of a gateway; may be repeated")
	f.BoolVar(&write, "write", false, "write both files into the folder")
	return c
}

// printLines prints each on its line.
func (p *program) printLines(lines []string, err error) error {
	for _, line := range lines {
		if _, err := io.WriteString(p.out, line+"\n"); err != nil {
			return err
		}
	}
	return err
}
