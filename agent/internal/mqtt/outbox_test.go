package mqtt_test

import (
	"strings"
	"testing"

	"xbmedge/agent/internal/mqtt"
)

func TestMemoryOutbox(t *testing.T) {
	o := mqtt.NewMemoryOutbox(4, 1)
	add := func(names ...string) {
		for _, n := range names {
			if err := o.Append("t", func(uint64) ([]byte, error) { return []byte(n), nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	peek := func(after uint64, n int) string {
		var out []string
		for _, r := range o.Peek(after, n) {
			out = append(out, string(r.Payload))
		}
		return strings.Join(out, "")
	}
	expect := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	expect("empty", peek(0, 9), "")
	add("a", "b", "c")
	expect("all", peek(0, 9), "abc")
	expect("two", peek(0, 2), "ab")
	expect("after the first", peek(1, 9), "bc")
	expect("after the last", peek(3, 9), "")
	add("d", "e") // a goes
	expect("full", peek(0, 9), "bcde")
	expect("after one that is gone", peek(1, 9), "bcde")
	if o.Dropped() != 1 || o.Len() != 4 {
		t.Errorf("%d dropped, %d there; want 1, 4", o.Dropped(), o.Len())
	}
	_ = o.Ack(1) // gone already
	expect("after a late confirmation", peek(0, 9), "bcde")
	_ = o.Ack(3)
	expect("after confirming b and c", peek(0, 9), "de")
	add("f", "g")
	expect("around the ring", peek(4, 9), "efg")
	_ = o.Ack(7)
	if o.Len() != 0 || len(o.Peek(0, 9)) != 0 {
		t.Error("not empty after the last confirmation")
	}
}
