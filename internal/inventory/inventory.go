// Package inventory holds the attributes that devices report, and the small
// language in which operators pick devices by them.
package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limits of one device's inventory.
const (
	MaxAttributes = 512
	MaxName       = 256
	MaxValue      = 16 << 10 // bytes of one value's JSON
)

// ErrAttribute is returned for an inventory that is refused as a whole.
var ErrAttribute = errors.New("bad inventory attribute")

// Attributes maps a name to a string, a float64, or a list of either.
type Attributes map[string]any

// Check refuses attributes that are too many, too long or of another type.
func (a Attributes) Check() error {
	if len(a) > MaxAttributes {
		return fmt.Errorf("%w: %d attributes, at most %d", ErrAttribute, len(a), MaxAttributes)
	}
	for name, v := range a {
		if name == "" || len(name) > MaxName {
			return fmt.Errorf("%w: name of %d bytes, want 1 to %d", ErrAttribute, len(name), MaxName)
		}
		if err := checkValue(v); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrAttribute, name, err)
		}
	}
	return nil
}

func checkValue(v any) error {
	js, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(js) > MaxValue {
		return fmt.Errorf("%d bytes, at most %d", len(js), MaxValue)
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, e := range list {
		switch e.(type) {
		case string, float64:
		default:
			return fmt.Errorf("%T is neither text nor number", e)
		}
	}
	return nil
}

// Text is the attribute as filters see it: numbers in their shortest form,
// lists joined by commas.
func (a Attributes) Text(name string) (string, bool) {
	v, ok := a[name]
	if !ok {
		return "", false
	}
	return text(v), true
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = text(e)
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(v)
}
