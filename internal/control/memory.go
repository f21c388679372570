package control

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

// The memory makes a check-in with nothing new free of reads. It holds, for
// each accepted device that was heard, what it last reported (a hash) and in
// which epoch there was nothing for it to do. Being in it means being
// accepted: whoever changes a device's standing makes every server forget it.
//
// An entry is about 50 bytes, so a million devices take 50 MB; the memory is
// bounded at maxRemembered, and beyond that a check-in costs its one read.
type memory struct {
	shards [64]shard
}

const maxRemembered = 4 << 20

type shard struct {
	mu    sync.Mutex
	known map[uuid.UUID]entry
	seen  map[uuid.UUID]int64 // last contacts not yet written, µs since 1970
	// forgotten counts calls of forget: what was read before one must not be
	// remembered after it.
	forgotten uint64
}

type entry struct {
	report int64
	idle   uint32 // epoch in which nothing was found for it; 0 for none
}

func (m *memory) shard(key uuid.UUID) *shard {
	return &m.shards[key[15]%uint8(len(m.shards))] // the last byte of a UUIDv7 is random
}

// get returns what is known of a device, and the ticket that put wants.
func (m *memory) get(key uuid.UUID, now time.Time) (e entry, ok bool, ticket uint64) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok = s.known[key]
	if ok {
		s.touch(key, now)
	}
	return e, ok, s.forgotten
}

// put remembers e in place of what was known. If a device of the shard was
// forgotten since the ticket, e may be out of date, and nothing is known.
func (m *memory) put(key uuid.UUID, e entry, ticket uint64, now time.Time) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.touch(key, now)
	if s.forgotten == ticket {
		s.remember(key, e)
	} else {
		delete(s.known, key)
	}
}

func (s *shard) remember(key uuid.UUID, e entry) {
	if s.known == nil {
		s.known = map[uuid.UUID]entry{}
	}
	if _, ok := s.known[key]; !ok && len(s.known) >= maxRemembered/64 {
		for other := range s.known { // any: the order is random
			delete(s.known, other)
			break
		}
	}
	s.known[key] = e
}

func (s *shard) touch(key uuid.UUID, now time.Time) {
	if now.IsZero() {
		return
	}
	if s.seen == nil {
		s.seen = map[uuid.UUID]int64{}
	}
	s.seen[key] = now.UnixMicro()
}

// lastSeen returns the last contact that is not yet written, or zero.
func (m *memory) lastSeen(id device.ID) time.Time {
	key, err := uuid.Parse(string(id))
	if err != nil {
		return time.Time{}
	}
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.seen[key]; ok {
		return time.UnixMicro(at).UTC().Truncate(time.Second) // as it will be written
	}
	return time.Time{}
}

func (m *memory) forget(id device.ID) {
	key, err := uuid.Parse(string(id))
	if err != nil {
		return
	}
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, key)
	s.forgotten++
}

// takeSeen hands over the last contacts of one shard.
func (m *memory) takeSeen(i int) map[uuid.UUID]int64 {
	s := &m.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

// putBack returns contacts that could not be written; newer ones win.
func (m *memory) putBack(seen map[uuid.UUID]int64) {
	for key, at := range seen {
		s := m.shard(key)
		s.mu.Lock()
		if at > s.seen[key] {
			s.touch(key, time.UnixMicro(at))
		}
		s.mu.Unlock()
	}
}

// tickets returns one ticket for each shard.
func (m *memory) tickets() (all [64]uint64) {
	for i := range m.shards {
		m.shards[i].mu.Lock()
		all[i] = m.shards[i].forgotten
		m.shards[i].mu.Unlock()
	}
	return all
}

// reportHash is equal for equal reports, and never 0. It is stored, so it
// must not change between versions of the program.
func reportHash(r fleet.Report) int64 {
	sum := pairHash("", r.Type)
	for k, v := range r.Provides { // a sum does not depend on the order
		sum += pairHash(k, v)
	}
	if sum == 0 {
		return 1
	}
	return int64(sum)
}

// pairHash is FNV-1a over k, a zero byte and v, mixed once more, as plain
// FNV sums of similar pairs are too regular.
func pairHash(k, v string) uint64 {
	x := uint64(14695981039346656037)
	for i := range len(k) {
		x = (x ^ uint64(k[i])) * 1099511628211
	}
	x *= 1099511628211
	for i := range len(v) {
		x = (x ^ uint64(v[i])) * 1099511628211
	}
	x ^= x >> 31
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>29
}

// learn remembers a device that was read after the tickets were taken.
func (m *memory) learn(key uuid.UUID, report int64, tickets [64]uint64) {
	i := key[15] % uint8(len(m.shards))
	s := &m.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.known[key]; !ok && s.forgotten == tickets[i] {
		s.remember(key, entry{report: report})
	}
}
