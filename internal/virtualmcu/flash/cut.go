package flash

import "math/rand/v2"

// A Cut is one power cut.
type Cut struct {
	At   int    // the operation it hits, from 1
	Torn bool   // the operation is half done; otherwise it is not done at all
	Seed uint64 // which half, with Torn
}

// CutAt arms a cut: the at-th operation from now, erase or program, is the
// last thing that happens before the power is off. Zero disarms.
func (f *Flash) CutAt(c Cut) {
	f.armed = c.At > 0
	f.cut = c
	f.cut.At += f.ops
}

// Off switches the power off: every call returns ErrPower.
func (f *Flash) Off() { f.dead = true }

// On switches the power on again.
func (f *Flash) On() { f.dead = false }

// Dead reports whether the power is off.
func (f *Flash) Dead() bool { return f.dead }

// Operations is how many erases and programs there were.
func (f *Flash) Operations() int { return f.ops }

func (f *Flash) cutHere() bool {
	if !f.armed || f.ops < f.cut.At {
		return false
	}
	f.armed = false
	return true
}

// tear leaves in now a part of what changed since before. The parts differ:
// the first bytes, the last bytes, or bits here and there.
func (c Cut) tear(op int, before, now []byte) {
	if !c.Torn {
		copy(now, before)
		return
	}
	rng := rand.New(rand.NewPCG(c.Seed, uint64(op)))
	switch half := rng.IntN(len(now) + 1); rng.IntN(3) {
	case 0:
		copy(now[half:], before[half:])
	case 1:
		copy(now[:half], before[:half])
	default:
		for i := range now {
			keep := byte(rng.Uint32())
			now[i] = now[i]&keep | before[i]&^keep
		}
	}
}
