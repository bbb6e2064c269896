package capture_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"xbmedge/agent/internal/capture"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/camera"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// envChaos asks for the long form, with the limits that are shipped: `make chaos`.
const envChaos = "XBM_CHAOS"

// chaos is how much of it there is, and the limits.
type chaos struct {
	stalls, freezes, kills    int
	cameras                   int // that take turns with them
	stall, frozen, pause      time.Duration
	noticedWithin, backWithin time.Duration
}

func chaosOf(t *testing.T) chaos {
	if os.Getenv(envChaos) != "" {
		return chaos{
			stalls: 200, freezes: 100, kills: 100, cameras: 10, stall: 4 * time.Second, frozen: 4 * time.Second, pause: 5 * time.Second,
			noticedWithin: 5 * time.Second, backWithin: 10 * time.Second,
		}
	}
	t.Logf("the short form, with short limits; %s=1 asks for the long one", envChaos)
	return chaos{
		stalls: 6, freezes: 6, kills: 6, cameras: 3, stall: 800 * time.Millisecond, frozen: 800 * time.Millisecond, pause: time.Second,
		noticedWithin: 5 * time.Second, backWithin: 10 * time.Second, // of a machine that does other things too
	}
}

// TestChaos stalls, freezes and kills cameras again and again, in whole pipelines. Each time it has to be noticed, and to
// be over soon after the trouble is. A camera beside them sees none of it, and nothing is left behind.
func TestChaos(t *testing.T) {
	size := chaosOf(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	witness := startPatient(ctx, t, &running, "witness", size.options(t, "size=160x120,fps=20"), size.pause)
	witness.await(t, time.Minute, "the witness begins", func() bool { return witness.fresh.Load() > 0 })

	var noticed, back worst
	var patients []*patient // a camera that can stall, one that can freeze, and so on
	for i := range size.cameras {
		for _, trouble := range []string{"stall", "freeze"} {
			flag := filepath.Join(t.TempDir(), "trouble")
			o := size.options(t, "size=160x120,fps=20,"+trouble+"=0s,if="+flag)
			p := startPatient(ctx, t, &running, fmt.Sprintf("camera%d_%s", i, trouble), o, size.pause)
			p.flag = flag
			patients = append(patients, p)
		}
	}
	troubles := slices.Concat(slices.Repeat([]string{"stall"}, size.stalls), slices.Repeat([]string{"freeze"}, size.freezes),
		slices.Repeat([]string{"kill"}, size.kills))
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(troubles), func(i, j int) { troubles[i], troubles[j] = troubles[j], troubles[i] })
	// Everything is counted when all cameras work.
	spread := func(troubles []string) resources {
		todo := make(chan string, len(troubles))
		for _, trouble := range troubles {
			todo <- trouble
		}
		close(todo)
		var doctors sync.WaitGroup
		for i := range size.cameras {
			doctors.Go(func() {
				for trouble := range todo {
					p := patients[2*i]
					if trouble == "freeze" {
						p = patients[2*i+1]
					}
					n, b := p.suffer(t, trouble, size)
					noticed.add(trouble, n)
					back.add(trouble, b)
				}
			})
		}
		doctors.Wait()
		for _, p := range patients {
			p.await(t, time.Minute, "it works", p.isFresh())
		}
		return count(t)
	}
	quarter := len(troubles) / 4
	early := spread(troubles[:quarter])
	late := spread(troubles[quarter:])
	t.Logf("noticed within: %v; back within: %v; the witness waited %v for a frame at most", &noticed, &back, time.Duration(witness.gap.Load()))
	t.Logf("resources after a quarter: %+v; at the end: %+v", early, late)
	if gap := time.Duration(witness.gap.Load()); gap > 2*time.Second {
		t.Errorf("the camera beside them waited %v for a frame", gap)
	}
	if n := witness.counts.Starts.Load(); n != 1 {
		t.Errorf("the camera beside them was opened %d times", n)
	}
	if late.files > early.files || late.threads > early.threads+6 || late.children != early.children || late.megabytes > early.megabytes+16 {
		t.Errorf("resources grow: %+v after a quarter, %+v at the end", early, late)
	}
	cancel()
	running.Wait()
	if n := count(t).children; n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

// patient is a camera in its pipeline that can be given trouble.
type patient struct {
	pipeline.Publisher // nil: what is not below is not called
	name, flag         string
	counts             capture.Counts
	source             atomic.Pointer[capture.Source]

	online  atomic.Bool
	offline atomic.Uint64 // times it went offline
	fresh   atomic.Uint64 // frames that differ from the one before
	last    uint64        // number in the frame before; the worker's
	at      time.Time     // of the frame before
	gap     atomic.Int64  // the longest time without a fresh frame
}

func (size chaos) options(t *testing.T, address string) capture.Options {
	o := options(t, address)
	o.Stall, o.Frozen, o.Camera.Timeout = size.stall, size.frozen, size.stall
	return o
}

func startPatient(ctx context.Context, t *testing.T, running *sync.WaitGroup, name string, o capture.Options, pause time.Duration) *patient {
	p := &patient{name: name}
	o.Counts = &p.counts
	c, err := pipeline.New(pipeline.Config{
		Camera: name, Live: true, BackoffMax: pause,
		Track: pipeline.TrackConfig{Window: 5, MinFrames: 3, HoldFrames: 10, Hold: time.Second, UpdateGain: 1},
	}, pipeline.Deps{
		Open: func(ctx context.Context) (pipeline.Source, error) {
			src, err := capture.Open(ctx, o)
			if err != nil {
				return nil, err
			}
			p.source.Store(src)
			return frames{src}, nil
		},
		Embedder: p, Matcher: p, Publisher: p, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	return p
}

type frames struct{ *capture.Source }

func (s frames) Read(ctx context.Context, f *pipeline.Frame) error {
	return s.Source.Read(ctx, (*camera.Frame)(f))
}

func (p *patient) Dim() int { return 1 }

// Embed takes note of the frame.
func (p *patient) Embed(dst []float32, f vision.Frame) error {
	dst[0] = 1
	n, _ := camera.Number(f)
	if n == p.last {
		return nil
	}
	now := time.Now()
	if gap := int64(now.Sub(p.at)); !p.at.IsZero() && gap > p.gap.Load() {
		p.gap.Store(gap)
	}
	p.last, p.at = n, now
	p.fresh.Add(1)
	return nil
}

func (p *patient) Match([]float32) gallery.Decision { return gallery.Decision{} }
func (p *patient) Event(*pipeline.Event) error      { return nil }
func (p *patient) State(*pipeline.State)            {}
func (p *patient) Status(_ string, online bool) {
	if p.online.Swap(online) && !online {
		p.offline.Add(1)
	}
}

// await waits until what is true, and fails the test where it is not in time.
func (p *patient) await(t *testing.T, limit time.Duration, what string, is func() bool) time.Duration {
	began := time.Now()
	for !is() {
		if time.Since(began) > limit {
			t.Errorf("%s: not in %v: %s", p.name, limit, what)
			return limit
		}
		time.Sleep(5 * time.Millisecond) // what is tested is real time
	}
	return time.Since(began)
}

// isFresh returns a condition: that the camera has given new frames since.
func (p *patient) isFresh() func() bool {
	from := p.fresh.Load()
	return func() bool { return p.fresh.Load() >= from+3 }
}

// suffer gives a camera trouble until that is noticed and somewhat longer, and returns how long it took to notice, and
// to be back once the trouble was over.
func (p *patient) suffer(t *testing.T, trouble string, size chaos) (noticed, back time.Duration) {
	p.await(t, time.Minute, "it gives frames", p.isFresh())
	before := p.offline.Load()
	if trouble == "kill" {
		_ = syscall.Kill(p.source.Load().PID(), syscall.SIGKILL)
	} else if err := os.WriteFile(p.flag, nil, 0o600); err != nil {
		t.Error(err)
	}
	noticed = p.await(t, size.noticedWithin, trouble+" is noticed", func() bool { return p.offline.Load() > before })
	if trouble != "kill" {
		time.Sleep(time.Duration(rand.Int64N(int64(size.stall)))) // a new process may be in trouble too
		if err := os.Remove(p.flag); err != nil {
			t.Error(err)
		}
	}
	return noticed, p.await(t, size.backWithin, "it is back after a "+trouble, p.isFresh())
}

// worst keeps the longest time of each trouble.
type worst struct {
	mu sync.Mutex
	by map[string]time.Duration
	n  map[string]int
}

func (w *worst) add(trouble string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by, w.n = map[string]time.Duration{}, map[string]int{}
	}
	w.by[trouble] = max(w.by[trouble], d)
	w.n[trouble]++
}

func (w *worst) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var parts []string
	for _, trouble := range []string{"stall", "freeze", "kill"} {
		parts = append(parts, fmt.Sprintf("%s %d× %v", trouble, w.n[trouble], w.by[trouble].Round(time.Millisecond)))
	}
	return strings.Join(parts, ", ")
}

// resources are what a process can leak.
type resources struct{ files, threads, children, megabytes int }

func count(t *testing.T) resources {
	debug.FreeOSMemory()
	runtime.GC()
	entries := func(path string) int {
		list, err := os.ReadDir(path)
		if err != nil {
			t.Error(err)
		}
		return len(list)
	}
	r := resources{files: entries("/proc/self/fd"), threads: entries("/proc/self/task")}
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Error(err)
	}
	for _, path := range tasks {
		if text, err := os.ReadFile(path); err == nil { // a thread may have ended
			r.children += len(strings.Fields(string(text)))
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Error(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Error(err)
	}
	r.megabytes = kilobytes / 1024
	return r
}
