package securemsg

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// A refusal is bytes that a reader must refuse, and a part of its reason.
type refusal struct {
	sample
	expect string
}

func refusals(t testing.TB) []refusal {
	t.Helper()
	signed := find(t, "request-p256").bytes
	return append(frameRefusals(), []refusal{
		raw(t, "empty", "up", "", "not a kind"),
		raw(t, "no-map", "up", "01", "EOF"),
		raw(t, "kind-unknown", "up", "17a0", "not a kind"),
		raw(t, "kind-long", "up", "1801a0", "not a kind"), // 18 01 is 1 again
		raw(t, "assignment-from-device", "up", hex.EncodeToString(find(t, "assignment").bytes), "not a kind"),
		raw(t, "progress-from-server", "down", hex.EncodeToString(find(t, "progress").bytes), "not a kind"),
		raw(t, "request-in-data", "up", "12a0", "not a kind"),
		raw(t, "time-trailing", "down", "07a1010500", "extraneous"),
		raw(t, "time-cut", "down", "07a101", "EOF"),
		raw(t, "time-long-integer", "down", "07a1011805", "not the one encoding"),
		raw(t, "time-negative", "down", "07a10120", "cannot unmarshal"),
		raw(t, "time-float", "down", "07a101f93c00", "cannot unmarshal"),
		raw(t, "time-null", "down", "07a101f6", "not the one encoding"),
		raw(t, "time-tag", "down", "07a101c105", "tag"),
		raw(t, "time-far", "down", "07a1011bffffffffffffffff", "9999"),
		raw(t, "time-field-unknown", "down", "07a201050200", "unknown field"),
		raw(t, "time-field-negative", "down", "07a201052000", "unknown field"),
		raw(t, "time-field-text", "down", "07a20105617800", "unknown field"),
		raw(t, "time-field-twice", "down", "07a201050105", "duplicate map key"),
		raw(t, "time-field-missing", "down", "07a0", "not the one encoding"),
		raw(t, "time-indefinite", "down", "07bf0105ff", "indefinite"),
		raw(t, "time-not-a-map", "down", "078105", "cannot unmarshal"),
		raw(t, "time-too-long", "down", "07a1011bffffffffffffffff"+strings.Repeat("00", 8), "at most 16"),
		raw(t, "cancel-order", "down", "04a202616401"+"0c", "not the one encoding"),
		raw(t, "cancel-indefinite-text", "down", "04a2010c027f6164ff", "indefinite"),
		raw(t, "cancel-not-utf8", "down", "04a2010c0261ff", "UTF-8"),
		raw(t, "cancel-bytes-for-text", "down", "04a2010c024164", "cannot unmarshal"),
		raw(t, "cancel-number-0", "down", "04a20100026164", "number 0"),
		raw(t, "cancel-no-deployment", "down", "04a2010c0260", "deployment of 0 bytes"),
		raw(t, "cancel-deployment-long", "down", "04a2010c027841"+strings.Repeat("64", 65), "deployment of 65 bytes"),
		raw(t, "check-in-provided-numbers", "up", "01a30101026174"+"03a2616100616100", "cannot unmarshal"),
		raw(t, "check-in-provides-same", "up", "01a30101026174"+"03a2616160616160", "duplicate map key"),
		raw(t, "check-in-provides-order", "up", "01a30101026174"+"03a2616260616160", "not the one encoding"),
		raw(t, "check-in-announces-much", "up", "01a30101026174"+"03ba7fffffff", "exceeded max number of key-value pairs"),
		raw(t, "check-in-announces-pairs", "up", "01a30101026174"+"03b90401", "exceeded max number of key-value pairs"),
		raw(t, "describe-announces-elements", "up", "05a2010303a16161991001", "exceeded max number of elements"),
		raw(t, "check-in-text-announces-much", "up", "01a30101"+"027a7fffffff", "EOF"),
		raw(t, "describe-bool", "up", "05a2010303a16161f5", "neither text nor number"),
		raw(t, "describe-integer", "up", "05a2010303a1616101", "neither text nor number"),
		raw(t, "describe-long-float", "up", "05a2010303a16161fb3ff0000000000000", "not the one encoding"),
		raw(t, "describe-nan", "up", "05a2010303a16161f97e00", "NaN"),
		raw(t, "describe-infinite", "up", "05a2010303a16161f97c00", "infinity"),
		raw(t, "describe-map", "up", "05a2010303a16161a0", "unsupported type"),
		raw(t, "describe-deep", "up", "05a2010303a1616181818161"+"62", "exceeded max nested level"),
		raw(t, "describe-undefined", "up", "05a2010303a16161f7", "neither text nor number"),
		raw(t, "describe-replace-false", "up", "05a3010302f403a0", "not the one encoding"),
		raw(t, "progress-state-unknown", "up", "03a301010261640363666c79", "not a state"),
		raw(t, "progress-state-canceled", "up", "03a30101026164036863616e63656c6564", "not a state"),
		raw(t, "log-behind-its-end", "up", "06a501050261640301040205426161", "behind the log's end"),
		raw(t, "log-wraps", "up", "06a50105026164031affffffff040205426161", "behind the log's end"),
		raw(t, "log-total", "up", "06a501050261640300041a0010000105426161", "too large"),
		raw(t, "log-nothing", "up", "06a5010502616403000402"+"0540", "piece of 0 bytes"),
		raw(t, "ack-of-time", "up", "08a3010702010300", "ack of time"),
		raw(t, "ack-result", "up", "08a3010402010308", "result 8"),
		raw(t, "ack-wait", "up", "08a401040201030004181e", "wait of 30 s"),
		raw(t, "answer-accepted-without-keys", "answer", "13a20150"+strings.Repeat("03", 16)+"0202", "0 keys"),
		raw(t, "answer-nonce-short", "answer", "13a2014f"+strings.Repeat("03", 15)+"0201", "not the one encoding"),
		raw(t, "answer-nonce-long", "answer", "13a20151"+strings.Repeat("03", 17)+"0201", "not the one encoding"),
		raw(t, "answer-nonce-list", "answer", "13a20190"+strings.Repeat("03", 16)+"0201", "encoding"),
		{sample{"request-other-signature", "request", swapSignature(t, signed)}, "signature verification failed"},
	}...)
}

func frameRefusals() []refusal {
	head := func(name, header string, body int, expect string) refusal {
		b, _ := hex.DecodeString(header)
		return refusal{sample{"frame-" + name, "frame", append(b, make([]byte, body)...)}, expect}
	}
	return []refusal{
		head("empty", "", 0, "0 bytes"),
		head("short", "010302000102030405060"+"7", 0, "11 bytes"),
		head("version", "020302000102030405060708", 40, "version 2"),
		head("type", "010402000102030405060708", 40, "type 04"),
		head("suite-0", "010300000102030405060708", 40, "suite 0"),
		head("suite-3", "010303000102030405060708", 40, "suite 3"),
		head("flags", "010302010102030405060708", 40, "flags 01"),
		head("hs1-short", "010101000102030405060708", 8+32+15, "HS1 body of 55 bytes"),
		head("hs1-p256-short", "010102000102030405060708", 8+65+15, "HS1 body of 88 bytes"),
		head("hs2-long", "010201000102030405060708", MaxShake+1, "HS2 body of 513 bytes"),
		head("data-short", "010301000102030405060708", 8+15, "DATA body of 23 bytes"),
		head("enrol-suite", "010501000000000000000000", 40, "ENROL with suite 1"),
		head("enrol-session", "010500000000000000000001", 40, "ENROL with a session"),
		head("hint-body", "017f00000102030405060708", 1, "HINT body of 1 bytes"),
		head("hint-suite", "017f01000102030405060708", 0, "HINT with suite 1"),
	}
}

func raw(t testing.TB, name, form, text, expect string) refusal {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return refusal{sample{name, form, b}, expect}
}

func find(t testing.TB, name string) sample {
	t.Helper()
	for _, s := range samples(t) {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("no sample %s", name)
	return sample{}
}

// swapSignature puts the signature of another request under this one.
func swapSignature(t testing.TB, signed []byte) []byte {
	r, err := ParseRequest(signed)
	if err != nil {
		t.Fatal(err)
	}
	other := request(P256)
	other.Counter++
	b := encoded(t)(SignRequest(nil, other, ecKey()))
	o, err := ParseRequest(b)
	if err != nil {
		t.Fatal(err)
	}
	r.Signature = o.Signature
	return encoded(t)(encode(nil, r))
}

// TestBitFlips flips every bit of every message. Nothing authenticates these
// layers but enrolment's signature, so a flip may give another message; it
// never gives the same one, or one with two encodings. Package session flips
// every bit of what is authenticated, and there nothing gets through.
func TestBitFlips(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			for bit := range len(s.bytes) * 8 {
				flipped := bytes.Clone(s.bytes)
				flipped[bit/8] ^= 1 << (bit % 8)
				again, err := parsers[s.form](flipped)
				if err == nil && s.form == "request" {
					t.Errorf("bit %d flipped: a signed request was taken", bit)
				}
				if err == nil && !bytes.Equal(again, flipped) {
					t.Errorf("bit %d flipped: %x was read as %x", bit, flipped, again)
				}
			}
		})
	}
}

// TestCuts cuts every message at every byte, and adds one.
func TestCuts(t *testing.T) {
	for _, s := range samples(t) {
		if s.form == "frame" { // a frame has no end of its own
			continue
		}
		for n := range s.bytes {
			if _, err := parsers[s.form](s.bytes[:n]); err == nil {
				t.Errorf("%s: the first %d of %d bytes were taken", s.name, n, len(s.bytes))
			}
		}
		if _, err := parsers[s.form](append(bytes.Clone(s.bytes), 0)); err == nil {
			t.Errorf("%s: a byte more was taken", s.name)
		}
	}
}

// TestMixedKinds gives every message to every parser: none is taken by one
// that it was not written for.
func TestMixedKinds(t *testing.T) {
	for _, s := range samples(t) {
		for form, parse := range parsers {
			_, err := parse(s.bytes)
			if ack := strings.HasPrefix(s.name, "ack") && (form == "up" || form == "down"); err == nil && form != s.form && !ack {
				t.Errorf("%s, a message for %s, was taken by %s", s.name, s.form, form)
			}
		}
	}
}
