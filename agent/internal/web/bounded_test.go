package web

import (
	"errors"
	"net"
	"testing"
)

// The connections that are served at once are bounded, a place is free again after one, and waiting ends with Close.
func TestBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := newBounded(l, 1)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	dial()
	first, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	dial()
	second := make(chan error)
	go func() {
		c, err := b.Accept()
		if err == nil {
			err = c.Close()
		}
		second <- err
	}()
	select {
	case <-second:
		t.Fatal("two at once")
	default:
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	_ = first.Close() // gives no second place
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	if len(b.places) != 0 {
		t.Errorf("%d places taken", len(b.places))
	}
	b.places <- struct{}{}
	go func() {
		_, err := b.Accept()
		second <- err
	}()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := <-second; !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}
