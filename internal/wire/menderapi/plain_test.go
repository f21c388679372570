package menderapi

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestPlain(t *testing.T) {
	tests := map[string]struct {
		src   string
		plain bool
	}{
		"golden":        {goldenNext, true},
		"spaces":        {" {\t\"device_provides\" : { \"a\" :\"b\" ,\r\n\"c\":\"\" } , \"update_control_map\":false }\n", true},
		"empty":         {`{}`, true},
		"no provides":   {`{"device_provides":{}}`, true},
		"same twice":    {`{"device_provides":{"a":"1","a":"2"}}`, true},
		"escape":        {`{"device_provides":{"a":"\u0041"}}`, false},
		"umlaut":        {`{"device_provides":{"a":"ä"}}`, false},
		"other key":     {`{"device_provides":{"a":"b"},"x":1}`, false},
		"other case":    {`{"Device_Provides":{"a":"b"}}`, false},
		"twice":         {`{"device_provides":{"a":"b"},"device_provides":{"c":"d"}}`, false},
		"null":          {`{"device_provides":null}`, false},
		"number":        {`{"device_provides":{"a":1}}`, false},
		"two values":    {`{}{}`, false},
		"comma at end":  {`{"device_provides":{"a":"b",}}`, false},
		"cut short":     {`{"device_provides":{"a":"b"`, false},
		"cut in a text": {`{"device_provides":{"a":"b`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, ok := plainNext(tt.src); ok != tt.plain {
				t.Errorf("plainNext = %+v, %v, want %v", got, ok, tt.plain)
			}
			holdTogether(t, tt.src)
		})
	}
}

// holdTogether wants what plainNext took to be what encoding/json says.
func holdTogether(t *testing.T, src string) {
	t.Helper()
	got, ok := plainNext(src)
	if !ok {
		return
	}
	var want NextRequest
	if err := json.Unmarshal([]byte(src), &want); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("plainNext(%q) = %+v, encoding/json says %+v, %v", src, got, want, err)
	}
}

func FuzzPlain(f *testing.F) {
	f.Add(goldenNext)
	f.Add(`{"device_provides":{"a":"1","a":"2"},"update_control_map":false}`)
	f.Fuzz(holdTogether)
}
