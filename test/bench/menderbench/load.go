package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// repeat sends each request over a connection of its own, again and again,
// and returns answers per second. The answers have the status and no body;
// the client is as cheap as can be, for it shares the processors.
func repeat(addr string, requests [][]byte, status string, d time.Duration) (float64, error) {
	var n atomic.Int64
	start := time.Now()
	err := together(len(requests), func(i int) error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		for time.Since(start) < d {
			if err := once(conn, r, requests[i], status); err != nil {
				return err
			}
			n.Add(1)
		}
		return nil
	})
	return float64(n.Load()) / time.Since(start).Seconds(), err
}

func once(conn net.Conn, r *bufio.Reader, request []byte, status string) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 "+status)) {
		return fmt.Errorf("answer %q, want %s", line, status)
	}
	for len(line) > 2 {
		if line, err = r.ReadSlice('\n'); err != nil {
			return err
		}
	}
	return nil
}

// fetch downloads from each address again and again, one connection for
// each, and returns MiB per second.
func fetch(urls []string, d time.Duration) (float64, error) {
	var n atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: len(urls)}}
	defer client.CloseIdleConnections()
	start := time.Now()
	err := together(len(urls), func(i int) error {
		buffer := make([]byte, 256<<10)
		for time.Since(start) < d {
			m, err := download(client, urls[i], buffer)
			n.Add(m)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return float64(n.Load()) / (1 << 20) / time.Since(start).Seconds(), err
}

func download(client *http.Client, url string, buffer []byte) (int64, error) {
	resp, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("download: %s", resp.Status)
	}
	return io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buffer)
}

func together(n int, do func(int) error) error {
	errs := make(chan error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs <- do(i) })
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
