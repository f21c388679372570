//go:build vm

package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// A console keeps what machines say on their serial line.
type console struct {
	also io.Writer
	mu   sync.Mutex
	text bytes.Buffer
	seen int // bytes of it that wait has passed
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(p)
	return c.also.Write(p)
}

// wait waits until the console says text, from where the last wait ended.
func (c *console) wait(text string, most time.Duration) error {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if c.pass(text) {
			return nil
		}
	}
	return fmt.Errorf("wait for %q on the console: nothing in %v", text, most)
}

func (c *console) pass(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := bytes.Index(c.text.Bytes()[c.seen:], []byte(text))
	if i >= 0 {
		c.seen += i + len(text)
	}
	return i >= 0
}

// skip passes over what the console has said so far.
func (c *console) skip() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = c.text.Len()
}

// all is what the console has said so far.
func (c *console) all() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// count says how often the console has said text so far.
func (c *console) count(text string) int { return strings.Count(c.all(), text) }

// tail is the end of what the console said.
func (c *console) tail() string {
	text := c.all()
	return text[max(0, len(text)-6000):]
}
