package securemsg_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/session"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

func TestServerKeyAsText(t *testing.T) {
	for _, suite := range []securemsg.Suite{securemsg.X25519, securemsg.P256} {
		key, err := session.NewKey(suite, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		want := securemsg.ServerKey{Suite: suite, Public: key.PublicKey().Bytes()}
		got, err := securemsg.ParseServerKey(want.String())
		if err != nil || got.Pin() != want.Pin() || got.Suite != suite {
			t.Errorf("ParseServerKey(%s) = %v, %v", want, got, err)
		}
	}
	for name, text := range map[string]string{
		"no suite": strings.Repeat("00", 32), "unknown suite": "x448:00", "short": "x25519:00", "no hex": "x25519:zz",
		"low order": "x25519:" + strings.Repeat("00", 32), "not on the curve": "p256:04" + strings.Repeat("01", 64), "empty": "",
	} {
		if k, err := securemsg.ParseServerKey(text); err == nil {
			t.Errorf("%s: ParseServerKey(%q) = %v", name, text, k)
		}
	}
}
