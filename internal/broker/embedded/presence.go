package embedded

// Connected implements broker.Presence.
func (b *Broker) Connected(f func(id string, here bool)) func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.nextID
	b.nextID++
	b.ears[n] = f
	for id := range b.here {
		f(id, true)
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.ears, n)
	}
}

// seen hears from the guard. A client that takes over from itself comes before
// it goes.
func (b *Broker) seen(id string, here bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.here[id]
	if here {
		b.here[id]++
	} else if b.here[id]--; b.here[id] <= 0 {
		delete(b.here, id)
	}
	if (before > 0) == (b.here[id] > 0) {
		return
	}
	for _, f := range b.ears {
		f(id, here)
	}
}
