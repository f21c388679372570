package mqttlogin

import (
	"encoding/asn1"
	"errors"
	"math/big"
)

// fromDER makes the two numbers of an ECDSA signature, 32 bytes each, from
// what a crypto.Signer returns.
func fromDER(der []byte) ([]byte, error) {
	var n struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &n); err != nil || len(rest) > 0 || n.R.BitLen() > 8*field || n.S.BitLen() > 8*field {
		return nil, errors.New("signature is no P-256 signature")
	}
	out := make([]byte, 2*field)
	n.R.FillBytes(out[:field])
	n.S.FillBytes(out[field:])
	return out, nil
}
