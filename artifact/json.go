package artifact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

const (
	maxDepth  = 32 // of nested JSON
	jsonTwo   = json.Number("2")
	jsonThree = json.Number("3")
)

// parseObject reads one JSON object. Two readers must never see two things in
// it, so a key that is there twice is an error, as is anything after the end.
func parseObject(b []byte, where string) (*object, error) {
	if !utf8.Valid(b) {
		return nil, broken(RuleJSON, where, "not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := parseValue(d, where, 0)
	if err != nil {
		return nil, asJSON(err, where)
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, broken(RuleJSON, where, "not an object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, broken(RuleJSON, where, "data after the object")
	}
	return &object{where: where, fields: fields}, nil
}

func asJSON(err error, where string) error {
	var known *RuleError
	if errors.As(err, &known) {
		return known
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return broken(RuleJSON, where, "%v", err)
}

func parseValue(d *json.Decoder, where string, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	switch t {
	case json.Delim('{'):
		return parseFields(d, where, depth)
	case json.Delim('['):
		return parseList(d, where, depth)
	}
	return t, nil
}

func parseFields(d *json.Decoder, where string, depth int) (any, error) {
	fields := map[string]any{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, ok := t.(string)
		if !ok {
			return nil, fmt.Errorf("key %v is not a string", t)
		}
		if _, twice := fields[key]; twice {
			return nil, broken(RuleDuplicate, where, "key %q is there twice", key)
		}
		if fields[key], err = parseValue(d, where, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return fields, err
}

func parseList(d *json.Decoder, where string, depth int) (any, error) {
	list := []any{}
	for d.More() {
		v, err := parseValue(d, where, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

// An object hands out its fields once each, and keeps the first error.
// A field that is absent or null has the zero value and is not ok.
type object struct {
	where  string
	fields map[string]any
	err    error
}

func (o *object) fail(rule Rule, format string, args ...any) {
	if o.err == nil {
		o.err = broken(rule, o.where, format, args...)
	}
}

func (o *object) take(key string) any {
	v := o.fields[key]
	delete(o.fields, key)
	return v
}

// done returns the first error, or refuses the fields that nobody took.
func (o *object) done() error {
	for _, key := range sortedKeys(o.fields) {
		o.fail(RuleUnknown, "unknown field %q", key)
	}
	return o.err
}

func (o *object) text(key string) (string, bool) {
	v := o.take(key)
	s, ok := v.(string)
	if v != nil && !ok {
		o.fail(RuleJSON, "%s is not a string", key)
	}
	return s, ok
}

func (o *object) list(key string) ([]any, bool) {
	v := o.take(key)
	list, ok := v.([]any)
	if v != nil && !ok {
		o.fail(RuleJSON, "%s is not a list", key)
	}
	return list, ok
}

func (o *object) texts(key string) ([]string, bool) {
	list, ok := o.list(key)
	texts := make([]string, 0, len(list))
	for _, v := range list {
		s, isText := v.(string)
		if !isText {
			o.fail(RuleJSON, "%s is not a list of strings", key)
		}
		texts = append(texts, s)
	}
	return texts, ok
}

// object returns a nested object; an empty one when it is absent.
func (o *object) object(key string) *object {
	v := o.take(key)
	fields, ok := v.(map[string]any)
	if v != nil && !ok {
		o.fail(RuleJSON, "%s is not an object", key)
	}
	return &object{where: o.where, fields: fields, err: o.err}
}
