package main

import (
	"bytes"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A relay stands between a client and a server, and is a long, bad line.
type relay struct {
	front, back *net.UDPConn
	oneWay      time.Duration
	loss        float64 // of each datagram

	mu     sync.Mutex
	rng    *rand.Rand
	client *net.UDPAddr
}

// newRelay returns a relay to a server, and where clients find it.
func newRelay(server *net.UDPAddr, roundTrip time.Duration, loss float64, seed uint64) (*relay, string, error) {
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, "", err
	}
	back, err := net.DialUDP("udp", nil, server)
	if err != nil {
		front.Close()
		return nil, "", err
	}
	r := &relay{front: front, back: back, oneWay: roundTrip / 2, loss: loss, rng: rand.New(rand.NewPCG(seed, 1))}
	go r.forth()
	go r.home()
	return r, front.LocalAddr().String(), nil
}

func (r *relay) close() {
	r.front.Close()
	r.back.Close()
}

// A line delivers what it is given after its time, in that order.
type line chan datagram

type datagram struct {
	due  time.Time
	text []byte
}

func (l line) deliver(to func([]byte)) {
	for d := range l {
		time.Sleep(time.Until(d.due))
		to(d.text)
	}
}

// put loses it, or not.
func (r *relay) put(l line, p []byte) {
	r.mu.Lock()
	lost := r.rng.Float64() < r.loss
	r.mu.Unlock()
	if !lost {
		l <- datagram{time.Now().Add(r.oneWay), bytes.Clone(p)}
	}
}

const maxWaiting = 1024 // datagrams on a line

const maxDatagram = 64 << 10 // bytes

func (r *relay) forth() {
	l := make(line, maxWaiting)
	defer close(l)
	go l.deliver(func(p []byte) { _, _ = r.back.Write(p) })
	for p := make([]byte, maxDatagram); ; {
		n, from, err := r.front.ReadFromUDP(p)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.client = from
		r.mu.Unlock()
		r.put(l, p[:n])
	}
}

func (r *relay) home() {
	l := make(line, maxWaiting)
	defer close(l)
	go l.deliver(func(p []byte) {
		r.mu.Lock()
		to := r.client
		r.mu.Unlock()
		_, _ = r.front.WriteToUDP(p, to)
	})
	for p := make([]byte, maxDatagram); ; {
		n, err := r.back.Read(p)
		if err != nil {
			return
		}
		r.put(l, p[:n])
	}
}
