package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// conns is how many connections ask at once.
const conns = 16

// A load keeps connections to one server busy with requests that were built
// before: the asking costs as little as it can, and the same on both sides.
type load struct {
	conns []net.Conn
}

func dial(address string) *load {
	l := &load{}
	for range conns {
		c, err := net.Dial("tcp", address)
		check(err)
		l.conns = append(l.conns, c)
	}
	return l
}

func (l *load) close() {
	for _, c := range l.conns {
		c.Close()
	}
}

// run asks for d and returns answers per second; request picks the n-th
// request of a connection, and every answer must begin with status.
func (l *load) run(d time.Duration, request func(conn, n int) []byte, status string) float64 {
	var all sync.WaitGroup
	counts := make([]int, len(l.conns))
	begin := time.Now()
	for i, c := range l.conns {
		all.Go(func() { counts[i] = ask(c, begin.Add(d), func(n int) []byte { return request(i, n) }, status) })
	}
	all.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(begin).Seconds()
}

// pass sends every request once.
func (l *load) pass(requests [][]byte, status string) {
	var all sync.WaitGroup
	for i, c := range l.conns {
		all.Go(func() {
			r := bufio.NewReader(c)
			for n := i; n < len(requests); n += len(l.conns) {
				_, err := c.Write(requests[n])
				check(err)
				check(answer(r, status))
			}
		})
	}
	all.Wait()
}

func ask(c net.Conn, until time.Time, request func(int) []byte, status string) int {
	r := bufio.NewReaderSize(c, 64<<10)
	n := 0
	for ; n%16 != 0 || time.Now().Before(until); n++ {
		_, err := c.Write(request(n))
		check(err)
		check(answer(r, status))
	}
	return n
}

// answer reads one HTTP/1.1 answer and throws its body away.
func answer(r *bufio.Reader, status string) error {
	first, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(first, []byte("HTTP/1.1 "+status)) {
		rest, _ := r.Peek(r.Buffered())
		return fmt.Errorf("answer %q, want %s; %.400s", bytes.TrimSpace(first), status, rest)
	}
	length := 0
	for {
		h, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(h) <= 2 {
			break
		}
		if v, ok := bytes.CutPrefix(h, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return err
			}
		}
	}
	_, err = io.CopyN(io.Discard, r, int64(length))
	return err
}

// turns lets both sides work in turn: A B A B.
func turns(rounds int, ours, reference func() float64) (a, b []float64) {
	for range rounds {
		a = append(a, ours())
		b = append(b, reference())
	}
	return a, b
}

func quotients(a, b []float64) []float64 {
	q := make([]float64, len(a))
	for i := range a {
		q[i] = a[i] / b[i]
	}
	return q
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
