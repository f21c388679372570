package virtualmcu_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

// A client speaks SMP as a test wants it, right or wrong.
type client struct {
	t    *testing.T
	conn net.Conn
	v2   bool
	seq  byte
}

// dial serves a board's SMP over UDP and returns a client of it.
func dial(t *testing.T, d *virtualmcu.Device) *client {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	done := make(chan error)
	go func() { done <- d.ServeUDP(server) }()
	conn, err := net.Dial("udp", server.LocalAddr().String())
	check(t, err)
	t.Cleanup(func() {
		conn.Close()
		server.Close()
		if err := <-done; err != nil {
			t.Errorf("ServeUDP() = %v", err)
		}
	})
	return &client{t: t, conn: conn}
}

func (c *client) send(op byte, group uint16, command byte, body any) {
	c.t.Helper()
	p, err := cbor.Marshal(body)
	check(c.t, err)
	c.seq++
	head := []byte{op, 0}
	if c.v2 {
		head[0] |= 1 << 3
	}
	head = binary.BigEndian.AppendUint16(head, uint16(len(p)))
	head = binary.BigEndian.AppendUint16(head, group)
	_, err = c.conn.Write(append(append(head, c.seq, command), p...))
	check(c.t, err)
}

// hear returns the next answer, nil after a while.
func (c *client) hear(wait time.Duration) map[string]any {
	c.t.Helper()
	check(c.t, c.conn.SetReadDeadline(time.Now().Add(wait)))
	p := make([]byte, 4096)
	n, err := c.conn.Read(p)
	if err != nil {
		return nil
	}
	var m map[string]any
	check(c.t, cbor.Unmarshal(p[8:n], &m))
	return m
}

// ask waits for the answer, which must come.
func (c *client) ask(op byte, group uint16, command byte, body any) map[string]any {
	c.t.Helper()
	c.send(op, group, command, body)
	m := c.hear(5 * time.Second)
	if m == nil {
		c.t.Fatalf("op %d, group %d, command %d: no answer in 5 s", op, group, command)
	}
	return m
}

type fields = map[string]any

// rc is the error of an answer: negative ones are a group's, in v2.
func rc(m fields) int64 {
	if e, ok := m["err"].(map[any]any); ok {
		return -int64(e["rc"].(uint64))
	}
	if v, ok := m["rc"].(uint64); ok {
		return int64(v)
	}
	return 0
}

// upload sends an image in pieces and returns the last answer.
func (c *client) upload(p []byte, size int) (last fields) {
	c.t.Helper()
	sum := sha256.Sum256(p)
	for off := 0; off < len(p); {
		m := fields{"off": off, "data": p[off:min(off+size, len(p))]}
		if off == 0 {
			m["len"], m["sha"] = len(p), sum[:]
		}
		last = c.ask(2, 1, 1, m)
		if rc(last) != 0 {
			return last
		}
		off = int(last["off"].(uint64))
	}
	return last
}

func hashOf(t *testing.T, p []byte) []byte {
	t.Helper()
	im, _, err := mcuboot.Parse(p)
	check(t, err)
	return im.Hash()
}

func TestOS(t *testing.T) {
	d := board(t, func(o *virtualmcu.Options) { o.BufferSize = 512 })
	c := dial(t, d)
	for name, tt := range map[string]struct {
		op, command byte
		body, want  fields
	}{
		"echo":           {2, 0, fields{"d": "hello"}, fields{"r": "hello"}},
		"params":         {0, 6, fields{}, fields{"buf_size": uint64(512), "buf_count": uint64(4)}},
		"board":          {0, 7, fields{"format": "i"}, fields{"output": "frdm_k64f"}},
		"loader":         {0, 8, fields{}, fields{"bootloader": "MCUboot"}},
		"loader's mode":  {0, 8, fields{"query": "mode"}, fields{"mode": uint64(1)}},
		"unknown letter": {0, 7, fields{"format": "z"}, fields{"rc": uint64(3)}},
		"not a command":  {0, 99, fields{}, fields{"rc": uint64(8)}},
		"read of reset":  {0, 5, fields{}, fields{"rc": uint64(8)}},
		"wrong type":     {2, 0, fields{"d": 7}, fields{"rc": uint64(3)}},
	} {
		got := c.ask(tt.op, 0, tt.command, tt.body)
		if len(got) != len(tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
		for k, v := range tt.want {
			if got[k] != v {
				t.Errorf("%s: %v, want %v", name, got, tt.want)
			}
		}
	}
}

// TestDeployment is the usual one: upload, test, reset, confirm, reset.
func TestDeployment(t *testing.T) {
	for _, size := range []int{100, 203, 256} {
		d := board(t, nil)
		c := dial(t, d)
		next := image(t, 2, virtualmcu.Habits{})
		if got := c.upload(next, size); got["match"] != true {
			t.Errorf("pieces of %d: last answer %v", size, got)
		}
		state := c.ask(2, 1, 0, fields{"hash": hashOf(t, next), "confirm": false})
		second := state["images"].([]any)[1].(map[any]any)
		if second["pending"] != true || second["permanent"] != false || second["version"] != "2.4.0" {
			t.Errorf("after test: %v", state)
		}
		c.ask(2, 0, 5, fields{})
		waitFor(t, d, func() bool { v, answers := d.Running(); return answers && v == version(2) })
		first := c.ask(0, 1, 0, fields{})["images"].([]any)[0].(map[any]any)
		if first["active"] != true || first["confirmed"] != false {
			t.Errorf("on trial: %v", first)
		}
		first = c.ask(2, 1, 0, fields{"confirm": true})["images"].([]any)[0].(map[any]any)
		if first["confirmed"] != true {
			t.Errorf("after confirm: %v", first)
		}
		d.Reset()
		runs(t, d, 2, mcuboot.SwapNone)
	}
}

// TestErrors wants each error in both versions' ways.
func TestErrors(t *testing.T) {
	next := image(t, 2, virtualmcu.Habits{})
	pending := func(c *client) {
		c.upload(next, 256)
		c.ask(2, 1, 0, fields{"hash": hashOf(c.t, next), "confirm": false})
	}
	trial := func(c *client) {
		pending(c)
		c.ask(2, 0, 5, fields{})
		for c.ask(0, 1, 0, fields{})["images"].([]any)[0].(map[any]any)["version"] != "2.4.0" {
			c.t.Log("not yet reset")
		}
	}
	for name, tt := range map[string]struct {
		before  func(*client)
		command byte
		body    fields
		v1, v2  int64
	}{
		"no header":           {nil, 1, fields{"off": 0, "len": 100, "data": next[:31]}, 3, -22},
		"not an image":        {nil, 1, fields{"off": 0, "len": 100, "data": make([]byte, 32)}, 1, -23},
		"no length":           {nil, 1, fields{"off": 0, "data": next[:32]}, 3, -21},
		"no offset":           {nil, 1, fields{"data": next[:32]}, 3, -20},
		"too large":           {nil, 1, fields{"off": 0, "len": 1 << 20, "data": next[:32]}, 1, -30},
		"downgrade":           {nil, 1, fields{"off": 0, "len": 100, "data": image(t, 1, virtualmcu.Habits{})[:32], "upgrade": true}, 6, -27},
		"test on trial":       {trial, 0, fields{"hash": hashOf(t, image(t, 1, virtualmcu.Habits{})), "confirm": false}, 6, -28},
		"upload on trial":     {trial, 1, fields{"off": 0, "len": 100, "data": next[:32]}, 6, -9},
		"confirm of pending":  {pending, 0, fields{"confirm": true}, 6, -28},
		"upload over pending": {pending, 1, fields{"off": 0, "len": 100, "data": next[:32]}, 6, -9},
		"erase of pending":    {pending, 5, fields{}, 6, -9},
		"erase of what runs":  {nil, 5, fields{"slot": 0}, 3, -14},
		"test of nothing":     {nil, 0, fields{}, 3, -24},
		"test of a stranger":  {nil, 0, fields{"hash": make([]byte, 32)}, 1, -8},
		"test of what runs":   {nil, 0, fields{"hash": hashOf(t, image(t, 1, virtualmcu.Habits{}))}, 1, -33},
		"not a map":           {nil, 1, nil, 3, 3},
	} {
		for _, v2 := range []bool{false, true} {
			d := board(t, nil)
			c := dial(t, d)
			c.v2 = v2
			if tt.before != nil {
				tt.before(c)
			}
			want := tt.v1
			if v2 {
				want = tt.v2
			}
			var got fields
			if tt.body == nil {
				got = c.ask(2, 1, tt.command, []int{1})
			} else {
				got = c.ask(2, 1, tt.command, tt.body)
			}
			if rc(got) != want {
				t.Errorf("%s, v2 %v: %v, want %d", name, v2, got, want)
			}
		}
	}
}

func TestOldServer(t *testing.T) {
	c := dial(t, board(t, func(o *virtualmcu.Options) { o.V1 = true }))
	c.v2 = true
	if got := c.ask(2, 1, 0, fields{}); rc(got) != 3 {
		t.Errorf("test without a hash = %v, want rc 3", got)
	}
}

func TestFrugal(t *testing.T) {
	c := dial(t, board(t, func(o *virtualmcu.Options) { o.Frugal = true }))
	got := c.ask(0, 1, 0, fields{})
	first := got["images"].([]any)[0].(map[any]any)
	if _, told := first["pending"]; told || first["active"] != true || got["splitStatus"] != nil {
		t.Errorf("%v", got)
	}
	if last := c.upload(image(t, 2, virtualmcu.Habits{}), 256); last["match"] != nil {
		t.Errorf("last answer %v", last)
	}
}

// TestOffsets: the server says what it wants, and remembers in RAM alone.
func TestOffsets(t *testing.T) {
	d := board(t, nil)
	c := dial(t, d)
	p := image(t, 2, virtualmcu.Habits{})
	sum := sha256.Sum256(p)
	first := fields{"off": 0, "len": len(p), "sha": sum[:], "data": p[:100]}
	for i, tt := range []struct {
		body  fields
		reset bool
		want  uint64
	}{
		{body: first, want: 96}, // whole units
		{body: fields{"off": 100, "data": p[100:200]}, want: 96},
		{body: fields{"off": 96, "data": p[96 : 96+64]}, want: 160},
		{body: fields{"off": 96, "data": p[96 : 96+64]}, want: 160}, // a doubled one changes nothing
		{body: first, want: 160},                                    // goes on by its hash
		{body: first, reset: true, want: 96},                        // forgotten
		{body: fields{"off": 160, "data": p[160:224]}, want: 96},
		{body: fields{"off": 0, "len": len(p), "data": p[:64]}, want: 64}, // without a hash: from the start
		{body: fields{"off": 160, "data": p[160:224]}, reset: true, want: 0},
	} {
		if tt.reset {
			d.Reset()
		}
		if got := c.ask(2, 1, 1, tt.body); got["off"] != tt.want {
			t.Errorf("%d: %v, want off %d", i, got, tt.want)
		}
	}
	if got := c.upload(p, 256); got["match"] != true {
		t.Errorf("last answer %v", got)
	}
	if got := c.ask(2, 1, 1, first); got["off"] != uint64(len(p)) || got["match"] != true {
		t.Errorf("first chunk of what is there = %v", got)
	}
}

// TestSlowErase: the first answer takes the time of an erase when the slot was
// not blank, and the board is deaf meanwhile.
func TestSlowErase(t *testing.T) {
	const erase = 300 * time.Millisecond
	d := board(t, func(o *virtualmcu.Options) { o.Erase = erase })
	c := dial(t, d)
	p := image(t, 2, virtualmcu.Habits{})
	first := fields{"off": 0, "len": len(p), "data": p[:64]}
	for _, want := range []bool{false, true} {
		start := time.Now()
		c.ask(2, 1, 1, first)
		if took := time.Since(start); took >= erase != want {
			t.Errorf("first chunk took %v, erase of %v: want it %v", took, erase, want)
		}
	}
}

// TestResetAmid: what a board was doing when it was reset, nobody hears of.
func TestResetAmid(t *testing.T) {
	const erase = 200 * time.Millisecond
	d := board(t, func(o *virtualmcu.Options) { o.Erase = erase })
	c := dial(t, d)
	p := image(t, 2, virtualmcu.Habits{})
	first := fields{"off": 0, "len": len(p), "data": p[:64]}
	c.ask(2, 1, 1, first)
	before := d.Operations()
	c.send(2, 1, 1, first)
	for d.Operations() == before {
		time.Sleep(time.Millisecond)
	}
	d.Reset()
	if got := c.hear(2 * erase); got != nil {
		t.Errorf("after a reset it answers %v", got)
	}
}

func TestSickAndStubborn(t *testing.T) {
	d := board(t, nil)
	download(t, d, image(t, 2, virtualmcu.Habits{Sick: true, Confirm: virtualmcu.ConfirmNever}))
	c := dial(t, d)
	if got := c.ask(2, 0, 0, fields{"d": "are you well?"}); rc(got) != 1 {
		t.Errorf("echo = %v", got)
	}
	if got := c.ask(2, 1, 0, fields{"confirm": true}); rc(got) != 1 {
		t.Errorf("confirm = %v", got)
	}
	runs(t, d, 2, mcuboot.SwapRevert)
}

func TestFaults(t *testing.T) {
	d := board(t, nil)
	c := dial(t, d)
	const many = 40
	// count sends and counts answers, most to each.
	count := func(f virtualmcu.Faults, most int, wait time.Duration) (n int) {
		d.SetFaults(f)
		for range many {
			c.send(2, 0, 0, fields{"d": "x"})
			for range most {
				if c.hear(wait) == nil {
					break
				}
				n++
			}
		}
		return n
	}
	if n := count(virtualmcu.Faults{}, 1, 5*time.Second); n != many {
		t.Errorf("%d answers to %d, without faults", n, many)
	}
	if n := count(virtualmcu.Faults{Double: 1}, 4, 5*time.Second); n != 4*many {
		t.Errorf("%d answers to %d, doubled both ways", n, many)
	}
	if n := count(virtualmcu.Faults{Lose: 0.3, Seed: 1}, 1, 20*time.Millisecond); n == many || n == 0 {
		t.Errorf("%d answers to %d, of which some were to be lost", n, many)
	}
	d.SetFaults(virtualmcu.Faults{Latency: 20 * time.Millisecond})
	start := time.Now()
	c.ask(2, 0, 0, fields{"d": "x"})
	if took := time.Since(start); took < 40*time.Millisecond {
		t.Errorf("a round trip took %v, with 20 ms each way", took)
	}
}

// TestOvertaken: of frames that are delayed, some come after later ones; of
// frames that merely take long, none.
func TestOvertaken(t *testing.T) {
	for name, tt := range map[string]struct {
		faults virtualmcu.Faults
		sorted bool
	}{
		"delayed": {virtualmcu.Faults{Seed: 2, Delay: 0.3, Late: 50 * time.Millisecond}, false},
		"far":     {virtualmcu.Faults{Latency: 20 * time.Millisecond}, true},
	} {
		c := dial(t, board(t, func(o *virtualmcu.Options) { o.Buffers, o.Faults = 60, tt.faults }))
		var texts []string
		for i := range 50 {
			c.send(2, 0, 0, fields{"d": string(rune('A' + i))})
		}
		for range 50 {
			m := c.hear(5 * time.Second)
			if m == nil {
				t.Fatalf("%s: %d of 50 came", name, len(texts))
			}
			texts = append(texts, m["r"].(string))
		}
		if slices.IsSorted(texts) != tt.sorted {
			t.Errorf("%s: came as %v", name, texts)
		}
	}
}

// TestNobodyAnswers when the board is stuck or off, or its power fails.
func TestNobodyAnswers(t *testing.T) {
	d := board(t, nil)
	c := dial(t, d)
	quiet := func(why string) {
		t.Helper()
		c.send(2, 0, 0, fields{"d": "x"})
		if got := c.hear(20 * time.Millisecond); got != nil {
			t.Errorf("%s: answer %v", why, got)
		}
	}
	d.Stick()
	quiet("stuck")
	if _, err := d.USB().Control(0x80, 0, 0, 0, make([]byte, 2)); !errors.Is(err, virtualmcu.ErrTimeout) {
		t.Errorf("Control of a stuck board = %v", err)
	}
	d.Reset()
	d.StickAt(2)
	if got := c.ask(2, 0, 0, fields{"d": "x"}); got["r"] != "x" {
		t.Errorf("first of two: %v", got)
	}
	quiet("stuck at the second request")
	d.Power(false)
	quiet("off")
	d.Power(true)
	c.send(2, 1, 99, []byte("longer than a buffer"+string(make([]byte, 500))))
	if got := c.hear(20 * time.Millisecond); got != nil {
		t.Errorf("a message that fits no buffer: answer %v", got)
	}
}

// TestPowerCutOverSMP cuts the power at each flash operation of a deployment
// that is confirmed, and of one that is not.
func TestPowerCutOverSMP(t *testing.T) {
	next := image(t, 2, virtualmcu.Habits{})
	for _, confirm := range []bool{true, false} {
		clean := board(t, nil)
		before := clean.Operations()
		deploy(t, clean, next, confirm)
		total, cuts := clean.Operations()-before, 0
		for at := 1; at <= total; at++ {
			for seed := range uint64(3) {
				d := board(t, nil)
				d.CutAt(flash.Cut{At: at, Torn: seed > 0, Seed: seed})
				deploy(t, d, next, confirm)
				cuts += d.Cuts()
			}
		}
		if cuts != 3*total {
			t.Errorf("%d cuts, want %d", cuts, 3*total)
		}
		t.Logf("confirms %v: %d operations, %d cuts", confirm, total, cuts)
	}
}

// deploy does as a gateway does until version 2 is confirmed, or was tried and
// is gone. What runs is always whole, and one of the two.
func deploy(t *testing.T, d *virtualmcu.Device, next []byte, confirm bool) {
	t.Helper()
	c := straight{t, d}
	tried := false
	for range 20 {
		d.Power(true)
		slots, swap := d.Slots()
		v, answers := d.Running()
		whole := answers && slots[0].Image.Verify(public(t)) == nil
		switch {
		case !answers && !d.On(): // cut while it booted
		case !whole || v != version(1) && v != version(2):
			t.Fatalf("%v runs, answers %v, whole %v", v, answers, whole)
		case v == version(2) && swap == mcuboot.SwapNone && confirm, v == version(1) && tried && !confirm:
			return
		case v == version(2) && confirm:
			c.ask(0, fields{"confirm": true})
		case v == version(2):
			tried = true
			d.Reset()
		case swap == mcuboot.SwapTest:
			d.Reset()
			now, _ := d.Running()
			tried = now == version(2)
		default:
			c.deploy(next)
		}
	}
	t.Fatal("not done after 20 boots")
}

// straight asks a board without a socket between.
type straight struct {
	t *testing.T
	d *virtualmcu.Device
}

func (s straight) ask(command byte, body fields) fields {
	s.t.Helper()
	p, err := cbor.Marshal(body)
	check(s.t, err)
	head := binary.BigEndian.AppendUint16([]byte{2, 0}, uint16(len(p)))
	reply := s.d.Answer(append(append(head, 0, 1, 0, command), p...))
	if reply == nil {
		return nil
	}
	var m fields
	check(s.t, cbor.Unmarshal(reply[8:], &m))
	return m
}

func (s straight) deploy(p []byte) {
	s.t.Helper()
	for off := 0; off < len(p); {
		m := s.ask(1, fields{"off": off, "len": len(p), "data": p[off:min(off+256, len(p))]})
		if m == nil {
			return // the power failed
		}
		if rc(m) != 0 {
			s.t.Fatalf("upload at %d: %v", off, m)
		}
		off = int(m["off"].(uint64))
	}
	s.ask(0, fields{"hash": hashOf(s.t, p), "confirm": false})
}
