package gateway

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
)

// A list is a setting with several values. On one line they are separated by
// commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(text string) error {
	*l = nil
	for _, word := range strings.Split(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			*l = append(*l, word)
		}
	}
	return nil
}

// apply sets settings from an object of a JSON file. A key that is not known
// is an error.
func apply(settings *flag.FlagSet, values map[string]json.RawMessage) error {
	for key, raw := range values {
		text, err := plain(raw)
		if err == nil {
			err = set(settings, key, text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// set applies a value to the setting of a name with underscores.
func set(settings *flag.FlagSet, key, value string) error {
	name := strings.ReplaceAll(key, "_", "-")
	if settings.Lookup(name) == nil || strings.Contains(key, "-") {
		return errors.New("no such setting; moult-gateway config shows them all")
	}
	return settings.Set(name, value)
}

// plain is a JSON value as a flag would have it.
func plain(raw json.RawMessage) (string, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case []any:
		return plainList(v)
	}
	return "", errors.New("want a text, a number, true, false or a list of texts")
}

func plainList(values []any) (string, error) {
	words := make([]string, len(values))
	for i, e := range values {
		word, ok := e.(string)
		if !ok || strings.Contains(word, ",") {
			return "", errors.New("want a list of texts without commas")
		}
		words[i] = word
	}
	return strings.Join(words, ","), nil
}

// values is what a file would hold.
func values(settings *flag.FlagSet) map[string]any {
	all := map[string]any{}
	settings.VisitAll(func(f *flag.Flag) {
		var v any = f.Value.String()
		if l, ok := f.Value.(*list); ok {
			v = append([]string{}, *l...)
		}
		all[strings.ReplaceAll(f.Name, "-", "_")] = v
	})
	return all
}
