// Usb is the only program of a virtual machine that has a real Linux USB stack
// and virtual boards: their USB comes over USB/IP, from this same program. It
// says on the console how each story ended, and switches the machine off.
package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

func main() {
	if len(os.Args) == 3 { // a host of another width: PORT FILE
		if err := sendAs(os.Args[1], os.Args[2]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	if err := boot(); err != nil {
		fmt.Println("usb: FAIL boot:", err)
	}
	var all sync.WaitGroup
	for port, s := range stories { // side by side: they wait most of the time
		all.Go(func() {
			began := time.Now()
			if err := run(s, port); err != nil {
				fmt.Printf("usb: FAIL %s after %v: %v\n", s.name, since(began), err)
				return
			}
			fmt.Printf("usb: ok %s %v\n", s.name, since(began))
		})
	}
	all.Wait()
	fmt.Println("usb: the end")
	off()
}

func since(t time.Time) time.Duration { return time.Since(t).Round(10 * time.Millisecond) }

// run runs a story with a board that is plugged in and runs its first version.
func run(s story, port int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w, err := open(ctx, s, port)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.wait(ctx, "2fe3:0100"); err != nil {
		return err
	}
	return s.tell(ctx, w)
}
