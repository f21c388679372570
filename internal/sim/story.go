package sim

import (
	"github.com/moult-ota/moult/internal/deployment"
)

// A Chapter is one deployment of the demo, and how it must end everywhere.
type Chapter struct {
	What     string
	Image    Image
	Security uint64
	Stranger bool             // signed with a key that no device trusts
	Tamper   bool             // somebody on the way changes it
	Pull     bool             // the power of some devices is pulled meanwhile
	Restart  bool             // the server is restarted meanwhile
	Expect   deployment.State // of every device
	Runs     string           // version that every device runs afterwards
}

// story is what `moult demo` shows.
var story = []Chapter{
	{
		What: "a good release", Image: Image{Version: "2.0"}, Security: 2,
		Pull: true, Restart: true, Expect: deployment.Done, Runs: "2.0",
	}, {
		What: "a release that crashes on boot", Image: Image{Version: "3.0", Crashes: true}, Security: 3,
		Pull: true, Expect: deployment.RolledBack, Runs: "2.0",
	}, {
		What: "a release that somebody changes on the way", Image: Image{Version: "3.1"}, Security: 3,
		Tamper: true, Pull: true, Expect: deployment.Refused, Runs: "2.0",
	}, {
		What: "a release that a stranger signed", Image: Image{Version: "3.2"}, Security: 3,
		Stranger: true, Expect: deployment.Refused, Runs: "2.0",
	}, {
		What: "an old release, validly signed, below the security floor", Image: Image{Version: "1.0"}, Security: 1,
		Expect: deployment.Refused, Runs: "2.0",
	},
}

// factory is what every device leaves the factory with.
var factory = Chapter{Image: Image{Version: "1.5"}, Security: 1}
