package outbox

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	gosync "sync"
	"syscall"
	"testing"
	"time"
)

// moody is a disk that can be told to fail.
type moody struct {
	disk
	mu    gosync.Mutex
	full  bool  // takes no more bytes, but lets them be written over
	dead  bool  // read-only
	room  int64 // bytes that may be on it; 0: any number
	syncs error
	short int // a failing write takes so many bytes first

	writing, syncing func() // called before
}

func (m *moody) set(change func(*moody)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

func (m *moody) fault() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.dead:
		return syscall.EROFS
	case m.full:
		return syscall.ENOSPC
	}
	return nil
}

// crowded says whether n more bytes are too many.
func (m *moody) crowded(n int) error {
	m.mu.Lock()
	room := m.room
	m.mu.Unlock()
	if room == 0 {
		return nil
	}
	names, err := m.list()
	if err != nil {
		return err
	}
	size := int64(n)
	for _, name := range names {
		b, err := m.read(name, nil)
		if err != nil {
			return err
		}
		size += int64(len(b))
	}
	if size > room {
		return syscall.ENOSPC
	}
	return nil
}

func (m *moody) create(name string, fresh bool) (writeFile, error) {
	if err := m.fault(); err != nil {
		return nil, err
	}
	f, err := m.disk.create(name, fresh)
	return &moodyFile{f, m}, err
}

func (m *moody) overwrite(name string, b []byte) error {
	if err := m.fault(); errors.Is(err, syscall.EROFS) {
		return err
	}
	return m.disk.overwrite(name, b)
}

type moodyFile struct {
	writeFile
	m *moody
}

func (f *moodyFile) Write(b []byte) (int, error) {
	f.m.mu.Lock()
	before := f.m.writing
	f.m.mu.Unlock()
	if before != nil {
		before()
	}
	if err := f.m.crowded(len(b)); err != nil {
		return 0, err
	}
	if err := f.m.fault(); err != nil {
		n, _ := f.writeFile.Write(b[:min(f.m.short, len(b))])
		return n, err
	}
	return f.writeFile.Write(b)
}

func (f *moodyFile) sync() error {
	f.m.mu.Lock()
	err, before := f.m.syncs, f.m.syncing
	f.m.mu.Unlock()
	if before != nil {
		before()
	}
	if err != nil {
		return err
	}
	return f.writeFile.sync()
}

func beginMoody(t *testing.T, dir string, cfg Config) (*Log, *moody) {
	t.Helper()
	cfg.Dir, cfg.Boot, cfg.Retry = dir, bootOne, time.Millisecond
	m := &moody{disk: folder(dir), short: 5}
	l, err := open(cfg.withDefaults(), m, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, m
}

// until waits for a reading.
func until(t *testing.T, l *Log, what string, is func(Stats) bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(l.Stats()); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not %s: %+v", what, l.Stats())
		}
	}
}

func TestDiskThatTakesNothing(t *testing.T) {
	for name, fail := range map[string]func(*moody){
		"full":        func(m *moody) { m.full = true },
		"read-only":   func(m *moody) { m.dead = true },
		"cannot sync": func(m *moody) { m.syncs = syscall.EIO },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, m := beginMoody(t, dir, Config{})
			add(t, l, 5)
			flush(t, l)
			m.set(fail)
			add(t, l, 5)
			if err := l.Sync(); err == nil {
				t.Fatal("no error")
			}
			add(t, l, 2000) // more than may be delivered from the kernel's memory alone
			until(t, l, "delivered from memory", func(Stats) bool { return len(numbers(t, l, 0)) == 2010 })
			expect(t, "while the disk takes nothing", upTo(1, 2010), numbers(t, l, 0))
			_ = l.Ack(7) // two of those in memory
			if s := l.Stats(); !s.Degraded || s.Fault == "" || s.Waiting != 2003 {
				t.Errorf("stats %+v", s)
			}
			m.set(func(m *moody) { m.full, m.dead, m.syncs = false, false, nil })
			until(t, l, "writing again", func(s Stats) bool { return !s.Degraded && s.MemoryBytes == 0 })
			add(t, l, 1)
			flush(t, l)
			expect(t, "afterwards", upTo(8, 2011), numbers(t, l, 0))
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = begin(t, Config{Dir: dir})
			expect(t, "after a restart", upTo(8, 2011), numbers(t, l, 0))
			expect(t, "waiting after a restart", 2004, l.Len())
			if s := l.Stats(); s.Dropped != 0 || s.Damaged != 0 || s.Next != 2012 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// held returns what makes a call wait: it says that it has begun, and goes on when it is let go, at the end of the test
// at the latest.
func held(t *testing.T) (call func(), begun <-chan struct{}, letGo func()) {
	t.Helper()
	started, over := make(chan struct{}, 100), make(chan struct{})
	letGo = gosync.OnceFunc(func() { close(over) })
	t.Cleanup(letGo)
	return func() {
		started <- struct{}{}
		<-over
	}, started, letGo
}

// A sync may take long, as those of memory cards do: events are delivered meanwhile, up to a bound.
func TestSlowSync(t *testing.T) {
	l, m := beginMoody(t, t.TempDir(), Config{Interval: time.Millisecond})
	add(t, l, 1)
	flush(t, l)
	call, begun, letGo := held(t)
	m.set(func(m *moody) { m.syncing = call })
	add(t, l, 1)
	<-begun
	add(t, l, 5)
	until(t, l, "delivered", func(Stats) bool { return len(numbers(t, l, 0)) == 7 })
	add(t, l, 2*ahead)
	until(t, l, "delivered", func(Stats) bool { return len(numbers(t, l, 0)) == 1+ahead })
	letGo()
	flush(t, l)
	expect(t, "events", upTo(1, 7+2*ahead), numbers(t, l, 0))
}

// What a kill could take back is not delivered: the number would be given to another event.
func TestNothingIsDeliveredBeforeItIsWritten(t *testing.T) {
	l, m := beginMoody(t, t.TempDir(), Config{})
	add(t, l, 1)
	flush(t, l)
	call, begun, letGo := held(t)
	m.set(func(m *moody) { m.writing = call })
	add(t, l, 1)
	<-begun
	expect(t, "while it is written", upTo(1, 1), numbers(t, l, 0))
	letGo()
	until(t, l, "delivered", func(Stats) bool { return len(numbers(t, l, 0)) == 2 })
}

// A disk that the log itself has filled takes events again when those on it are confirmed.
func TestDiskFilledByTheLog(t *testing.T) {
	l, m := beginMoody(t, t.TempDir(), Config{MaxBytes: 2 * MinBytes, Interval: time.Millisecond})
	m.set(func(m *moody) { m.room = MinBytes })
	for l.Sync() == nil {
		for range 100 {
			if err := l.Append("t", payload); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 5 {
		_ = l.Sync() // another try
	}
	before := l.Stats().Segments
	all := l.Stats().Next - 1
	_ = l.Ack(all / 2) // always nil
	until(t, l, "writing again", func(s Stats) bool { return !s.Degraded && s.MemoryBytes == 0 })
	if s := l.Stats(); s.Dropped != 0 || s.Waiting != int(all-all/2) || s.Segments > before || before > 10 {
		t.Errorf("%d segments before, stats %+v", before, s)
	}
}

// Memory is bounded; the oldest go.
func TestMemoryIsBounded(t *testing.T) {
	l, m := beginMoody(t, t.TempDir(), Config{Memory: 10 * recordSize("t", []byte("event 10"))})
	m.set(func(m *moody) { m.full = true })
	if l.Append("t", func(uint64) ([]byte, error) { return []byte("event 1"), nil }) != nil || l.Sync() == nil {
		t.Fatal("no fault")
	}
	add(t, l, 29)
	until(t, l, "delivered from memory", func(Stats) bool { return len(numbers(t, l, 0)) == 10 })
	expect(t, "events", upTo(21, 30), numbers(t, l, 0))
	if s := l.Stats(); s.Dropped != 20 || s.Waiting != 10 {
		t.Errorf("stats %+v", s)
	}
	if err := l.Close(); err == nil {
		t.Error("events were lost, and nothing is said")
	}
}

// A number that was delivered from memory is not given out again after a crash.
func TestNumbersAfterACrashOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	l, m := beginMoody(t, dir, Config{})
	add(t, l, 3)
	flush(t, l)
	m.set(func(m *moody) { m.full = true })
	add(t, l, 1500)
	var delivered []uint64
	until(t, l, "delivered from memory", func(Stats) bool {
		delivered = numbers(t, l, 0)
		return len(delivered) == 1503
	})
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	after := begin(t, Config{Dir: copied})
	if next := after.Stats().Next; next <= 1503 || next > 1503+2*ahead {
		t.Errorf("the next number is %d", next)
	}
}

func TestDailyBudget(t *testing.T) {
	dir := t.TempDir()
	l := begin(t, Config{Dir: dir, DailyBytes: 1800, Memory: 100_000})
	add(t, l, 30)
	flush(t, l)
	add(t, l, 20)
	until(t, l, "spent", func(s Stats) bool { return s.BytesToday >= 1800 })
	before := l.Stats().BytesWritten
	add(t, l, 1000)
	until(t, l, "delivered from memory", func(Stats) bool { return len(numbers(t, l, 0)) == 1050 })
	expect(t, "events", upTo(1, 1050), numbers(t, l, 0))
	if s := l.Stats(); !s.Resting || s.BytesWritten > before+100 { // the ceiling, and what was on its way
		t.Errorf("%d bytes were written before, stats %+v", before, s)
	}
	add(t, l, 1500) // more than three quarters of the memory
	until(t, l, "written for want of memory", func(s Stats) bool { return s.BytesWritten > before+70_000 })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = begin(t, Config{Dir: dir})
	expect(t, "after a restart", upTo(1, 2550), numbers(t, l, 0))
}

// A real file system that is full, which takes root to make.
func TestFullFileSystem(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small tmpfs takes root")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	defer func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	}()
	l := begin(t, Config{Dir: filepath.Join(dir, "outbox"), Retry: 5 * time.Millisecond})
	add(t, l, 10)
	flush(t, l)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 300_000), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("not full: %v", err)
	}
	add(t, l, 1000)
	if err := l.Sync(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("on a full disk: %v", err)
	}
	until(t, l, "delivered from memory", func(Stats) bool { return len(numbers(t, l, 0)) == 1010 })
	_ = l.Ack(500)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	until(t, l, "writing again", func(s Stats) bool { return !s.Degraded && s.MemoryBytes == 0 })
	expect(t, "afterwards", upTo(501, 1010), numbers(t, l, 0))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = begin(t, Config{Dir: filepath.Join(dir, "outbox")})
	expect(t, "after a restart", upTo(501, 1010), numbers(t, l, 0))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", l.Stats())
}
