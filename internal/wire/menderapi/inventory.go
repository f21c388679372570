package menderapi

import (
	"fmt"
	"maps"
	"slices"

	"github.com/moult-ota/moult/internal/inventory"
)

type attribute struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// AppendAttributes appends the body for InventoryPath, sorted by name. PUT
// replaces what the device said before, PATCH adds to it.
func AppendAttributes(dst []byte, a inventory.Attributes) ([]byte, error) {
	if err := a.Check(); err != nil {
		return dst, err
	}
	list := make([]attribute, 0, len(a))
	for _, name := range slices.Sorted(maps.Keys(a)) {
		list = append(list, attribute{name, a[name]})
	}
	return appendJSON(dst, list), nil
}

// ParseAttributes reads the body that was sent to InventoryPath. Of two
// attributes with one name the last counts.
func ParseAttributes(src []byte) (inventory.Attributes, error) {
	var list []attribute
	if err := parse(src, MaxInventoryBody, &list); err != nil {
		return nil, err
	}
	if len(list) > inventory.MaxAttributes {
		return nil, fmt.Errorf("%w: %d attributes, at most %d", ErrSyntax, len(list), inventory.MaxAttributes)
	}
	attributes := make(inventory.Attributes, len(list))
	for _, a := range list {
		attributes[a.Name] = a.Value
	}
	if err := attributes.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	return attributes, nil
}
