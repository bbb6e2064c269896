package health_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/health"
)

func TestHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m health.Monitor
		quick, slow, done := m.Stage("quick"), m.Stage("slow"), m.Stage("done")
		check := func(when string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, m.Hung(10*time.Second)); diff != "" {
				t.Errorf("%s: hung stages (-want +got):\n%s", when, diff)
			}
		}
		check("at the start")
		done.End()
		for range 11 {
			time.Sleep(time.Second)
			quick.Beat()
		}
		check("after 11 s", "slow")
		slow.Beat()
		check("after a late beat")
		time.Sleep(11 * time.Second)
		check("after silence", "quick", "slow")
	})
}

func TestBeatAllocatesNothing(t *testing.T) {
	var m health.Monitor
	s := m.Stage("stage")
	if n := testing.AllocsPerRun(100, s.Beat); n != 0 {
		t.Errorf("%v allocations a beat", n)
	}
}

func TestStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m health.Monitor
		first, second := m.Stage("first"), m.Stage("second")
		time.Sleep(3 * time.Second)
		second.Beat()
		time.Sleep(time.Second)
		want := []health.State{{Name: "first", Silent: 4 * time.Second}, {Name: "second", Silent: time.Second}}
		if diff := cmp.Diff(want, m.States()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		first.End()
		if got := m.States(); len(got) != 1 || got[0].Name != "second" {
			t.Errorf("%+v", got)
		}
	})
}
