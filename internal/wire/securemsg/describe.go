package securemsg

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/moult-ota/moult/internal/inventory"
)

const maxDescribe = 48 << 10 // bytes of the whole message

// Describe carries inventory attributes. An inventory that is longer goes in
// pieces, with Replace set on the first one only.
type Describe struct {
	Number     uint64               `cbor:"1,keyasint"`
	Replace    bool                 `cbor:"2,keyasint,omitempty"` // drop attributes that are not named
	Attributes inventory.Attributes `cbor:"3,keyasint"`
}

// Append appends the message to dst.
func (d Describe) Append(dst []byte) ([]byte, error) { return encode(dst, d) }

func (Describe) kind() Kind { return KindDescribe }
func (Describe) limit() int { return maxDescribe }

func (d Describe) check() error {
	for name, v := range d.Attributes {
		if err := first(checkText("attribute name", name, 1, inventory.MaxName), checkValue(v)); err != nil {
			return err
		}
	}
	return first(checkNumber(d.Number), d.Attributes.Check())
}

// checkValue looks at text only; Attributes.Check does the rest.
func checkValue(v any) error {
	switch v := v.(type) {
	case string:
		return checkText("attribute", v, 0, inventory.MaxValue)
	case []any:
		if len(v) > maxArray {
			return fmt.Errorf("list of %d elements, at most %d", len(v), maxArray)
		}
		for _, e := range v {
			if s, ok := e.(string); ok {
				if err := checkText("attribute", s, 0, inventory.MaxValue); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// cut makes s valid UTF-8 of at most n bytes.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
