package virtualmcu

import (
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// Errors of the OS group.
const (
	osInvalidFormat = 2
	osNoAnswer      = 3
)

func (d *Device) echo(raw cbor.RawMessage) outcome {
	v, ok := body[struct {
		D string `cbor:"d"`
	}](raw)
	switch {
	case !ok:
		return outcome{rc: rcInvalid}
	case d.app.habits.Sick:
		return outcome{rc: rcUnknown}
	}
	return outcome{body: map[string]any{"r": v.D}}
}

func (d *Device) reset(cbor.RawMessage) outcome {
	return outcome{then: func() { d.later(d.opts.Times.Reset, d.start) }}
}

func (d *Device) params(cbor.RawMessage) outcome {
	return outcome{body: map[string]any{"buf_size": d.opts.BufferSize, "buf_count": d.opts.Buffers}}
}

// info answers as uname does, by Zephyr's letters and in its order.
func (d *Device) info(raw cbor.RawMessage) outcome {
	v, ok := body[struct {
		Format string `cbor:"format"`
	}](raw)
	if !ok {
		return outcome{rc: rcInvalid}
	}
	all := []struct{ letter, text string }{
		{"s", "Zephyr"}, {"n", d.opts.Name}, {"r", d.app.image.Header.Version.String()}, {"v", "4.1.0"},
		{"m", "arm"}, {"p", "cortex-m4"}, {"i", d.opts.Type}, {"o", "Zephyr"},
	}
	if strings.Trim(v.Format, "snrvmpioa") != "" {
		return outcome{group: osInvalidFormat}
	}
	if v.Format == "" {
		v.Format = "s"
	}
	var words []string
	for _, f := range all {
		if strings.Contains(v.Format, f.letter) || strings.Contains(v.Format, "a") {
			words = append(words, f.text)
		}
	}
	return outcome{body: map[string]any{"output": strings.Join(words, " ")}}
}

func (d *Device) loaderInfo(raw cbor.RawMessage) outcome {
	v, ok := body[struct {
		Query string `cbor:"query"`
	}](raw)
	switch {
	case !ok:
		return outcome{rc: rcInvalid}
	case v.Query == "":
		return outcome{body: map[string]any{"bootloader": "MCUboot"}}
	case v.Query != "mode":
		return outcome{group: osNoAnswer}
	}
	const swapScratch = 1
	answer := map[string]any{"mode": swapScratch}
	if d.opts.Guard.Newer {
		answer["no-downgrade"] = true
	}
	return outcome{body: answer}
}
