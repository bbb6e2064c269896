package trainer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"xbmedge/internal/nn"
)

// stoppedRun is a run that was interrupted after a step, over data of its own.
func stoppedRun(t *testing.T, cfg Config, at int) (run, data string) {
	t.Helper()
	data, run = drawings(t, 6, 8), filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Start(ctx, Description{Data: data, Config: cfg}, run, &silent{at: at, cancel: cancel}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, errInterrupted) {
		t.Fatalf("the run did not stop: %v", err)
	}
	return run, data
}

// wholeAndStopped trains the same twice: once to the end, and once interrupted after step 7.
func wholeAndStopped(t *testing.T, d Description) (whole, stopped string) {
	t.Helper()
	whole, stopped = filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "stopped")
	log := slog.New(slog.DiscardHandler)
	if _, err := Start(t.Context(), d, whole, &silent{}, log); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Start(ctx, d, stopped, &silent{at: 7, cancel: cancel}, log)
	if !errors.Is(err, errInterrupted) || !strings.Contains(err.Error(), "--resume "+stopped) {
		t.Fatalf("error %v does not say how to go on", err)
	}
	return whole, stopped
}

// An interruption may fall into an evaluation; the last one is the worst place, since no step follows it.
func TestInterruptedEvaluationIsMadeUpFor(t *testing.T) {
	needTFLite(t)
	cfg := smallConfig()
	whole := filepath.Join(t.TempDir(), "whole")
	log := slog.New(slog.DiscardHandler)
	for _, at := range []int{6, 12} {
		run, data := stoppedRun(t, cfg, at) // smallConfig evaluates after 6 and 12 steps: right after the interruption
		resumed, err := Resume(t.Context(), run, "", nil, &silent{}, log)
		if err != nil {
			t.Fatalf("interrupted at %d: %v", at, err)
		}
		if _, err := os.Stat(whole); err != nil {
			if _, err := Start(t.Context(), Description{Data: data, Config: cfg}, whole, &silent{}, log); err != nil {
				t.Fatal(err)
			}
		}
		best, err := folder(whole).load(latestFile)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(best.Best, &resumed.Best, cmpopts.IgnoreFields(Metrics{}, "ImagesPerSec")); diff != "" {
			t.Errorf("interrupted at %d, the best evaluation differs from an undisturbed run's:\n%s", at, diff)
		}
		if a, b := metricsSteps(t, whole), metricsSteps(t, run); a != b {
			t.Errorf("interrupted at %d: metrics.jsonl has steps %s, undisturbed %s", at, b, a)
		}
	}
}

func TestResumeRefusesWhatDoesNotBelongTogether(t *testing.T) {
	needTFLite(t)
	replace := func(t *testing.T, path, before, after string) {
		t.Helper()
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Replace(raw, []byte(before), []byte(after), 1)
		if bytes.Equal(raw, changed) {
			t.Fatalf("%s has no %q", path, before)
		}
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rename := func(t *testing.T, from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, run, data string)
		want  string
	}{
		"a photo less": {func(t *testing.T, _, data string) {
			rename(t, filepath.Join(data, "train/class01/03.png"), filepath.Join(data, "gone.png"))
		}, "no longer those it began with"},
		"a photo replaced": {func(t *testing.T, _, data string) {
			rename(t, filepath.Join(data, "train/class01/03.png"), filepath.Join(data, "train/class01/04.png"))
			rename(t, filepath.Join(data, "train/class02/03.png"), filepath.Join(data, "train/class01/03.png"))
		}, "no longer those it began with"},
		"classes swapped": {func(t *testing.T, _, data string) {
			rename(t, filepath.Join(data, "train/class01"), filepath.Join(data, "train/class99"))
		}, "no longer those it began with"},
		"a bit flipped": {func(t *testing.T, run, _ string) {
			path := filepath.Join(run, checkpoints, latestFile)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			raw[len(raw)-100] ^= 1
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "checksum"},
		"cut short": {func(t *testing.T, run, _ string) {
			if err := os.Truncate(filepath.Join(run, checkpoints, latestFile), 9000); err != nil {
				t.Fatal(err)
			}
		}, "no usable safetensors file"},
		"no checkpoint but weights": {func(t *testing.T, run, _ string) {
			var b bytes.Buffer
			if err := nn.WriteSafetensors(&b, readState(t, run), nil); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(run, checkpoints, latestFile), b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "does not say how far"},
		"a negative step": {func(t *testing.T, run, _ string) {
			c, err := folder(run).load(latestFile)
			if err != nil {
				t.Fatal(err)
			}
			c.Step = -7
			if err := folder(run).save(latestFile, c); err != nil {
				t.Fatal(err)
			}
		}, "does not say how far"},
		"fewer steps than done": {func(t *testing.T, run, _ string) {
			replace(t, filepath.Join(run, configFile), `"steps": 12`, `"steps": 5`)
		}, "at step 7, after schedule.steps 5"},
		"another network": {func(t *testing.T, run, _ string) {
			replace(t, filepath.Join(run, configFile), "        16\n", "        16,\n        32\n")
		}, "resume with the run's own configuration"},
		"an empty configuration": {func(t *testing.T, run, _ string) {
			if err := os.WriteFile(filepath.Join(run, configFile), []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "network.name"},
	} {
		t.Run(name, func(t *testing.T) {
			run, data := stoppedRun(t, smallConfig(), 7)
			c.spoil(t, run, data)
			_, err := Resume(t.Context(), run, "", nil, &silent{}, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v does not say %q", err, c.want)
			}
		})
	}
}

// What stops a run at its end must be found at its beginning: preparing may take long.
func TestStartFindsMistakesBeforeItLoadsPhotos(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	held := filepath.Join(dir, "held")
	if err := folder(held).create(&Description{}, nil, &runLog{}); err != nil {
		t.Fatal(err)
	}
	otherBackend, noTeacher := smallConfig(), smallConfig()
	otherBackend.Backend = "abacus"
	noTeacher.Network.Views, noTeacher.Teacher.Run = 1, dir
	for _, c := range []struct {
		run, want string
		cfg       Config
	}{
		{held, "already holds a run that has no checkpoint yet", smallConfig()},
		{file, "is a file", smallConfig()},
		{filepath.Join(file, "below"), "is a file", smallConfig()},
		{filepath.Join(dir, "new"), "abacus", otherBackend},
		{filepath.Join(dir, "new"), "holds no finished run", noTeacher},
	} {
		// There are no photos: a later check would complain of that.
		_, err := Start(t.Context(), Description{Data: filepath.Join(dir, "none"), Config: c.cfg}, c.run, &silent{}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", c.run, err, c.want)
		}
	}
}

// TestRunBelongsToOneProgram: a second one that trained in the same folder would mix up checkpoints and metrics.
func TestRunBelongsToOneProgram(t *testing.T) {
	needTFLite(t)
	run, data := stoppedRun(t, smallConfig(), 7)
	log := slog.New(slog.DiscardHandler)
	first, _ := newRunLog(log)
	if err := first.open(folder(run)); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(t.Context(), run, "", nil, &silent{}, log); err == nil || !strings.Contains(err.Error(), "another xbm-train is at work on this run") {
		t.Errorf("resumed twice: %v", err)
	}
	if err := os.Remove(filepath.Join(run, configFile)); err != nil { // as where the first has just begun
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Description{Data: data, Config: smallConfig()}, run, &silent{}, log)
	if err == nil || !strings.Contains(err.Error(), "another xbm-train is at work on this run") {
		t.Errorf("started twice: %v", err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Description{Data: data, Config: smallConfig()}, run, &silent{}, log); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
}

// TestFailedRunSaysHowToGoOn: what was done up to the latest checkpoint is not lost.
func TestFailedRunSaysHowToGoOn(t *testing.T) {
	needTFLite(t)
	run, _ := stoppedRun(t, smallConfig(), 7)
	metrics := filepath.Join(run, metricsFile)
	breakIt := &silent{at: 8, cancel: func() {
		if err := errors.Join(os.Remove(metrics), os.Mkdir(metrics, 0o750)); err != nil {
			t.Error(err)
		}
	}}
	_, err := Resume(t.Context(), run, "", nil, breakIt, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), metricsFile) || !strings.Contains(err.Error(), "of step 8 is kept: once this is put right, go on from it with xbm-train fit --resume "+run) {
		t.Errorf("error %v", err)
	}
}

// TestWherePhotosAreKeptMayChange: the folder of the cache may have gone, and what is learned does not depend on it.
func TestWherePhotosAreKeptMayChange(t *testing.T) {
	needTFLite(t)
	run, _ := stoppedRun(t, smallConfig(), 7)
	t.Chdir(t.TempDir())
	change := func(c *Config) error {
		c.Data.Cache, c.Data.CacheLimit, c.Data.Memory = "cache", 10, 100
		return nil
	}
	if _, err := Resume(t.Context(), run, "", change, &silent{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	d, err := ReadDescription(run)
	if err != nil || !filepath.IsAbs(d.Config.Data.Cache) {
		t.Errorf("%v, the cache is at %q, want an absolute path", err, d.Config.Data.Cache)
	}
}

func TestClassWithoutReadablePairsIsLeftOut(t *testing.T) {
	needTFLite(t)
	data := drawings(t, 5, 3)
	for _, photo := range []string{"class01/00.png", "class01/01.png", "class03/00.png", "class03/01.png", "class03/02.png"} {
		if err := os.WriteFile(filepath.Join(data, "train", photo), []byte("no picture"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	c := smallConfig()
	c.Sampler.Classes, c.Schedule = 3, ScheduleConfig{Steps: 2, Evaluate: 2, Checkpoint: 2}
	r, err := Start(t.Context(), Description{Data: data, Config: c}, filepath.Join(t.TempDir(), "run"), &silent{}, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if r.Photos != 9 || r.Skipped != 5 {
		t.Errorf("%d photos used, %d skipped; want 9 and 5", r.Photos, r.Skipped)
	}
	for _, class := range []string{"class01", "class03"} {
		if !strings.Contains(said.String(), "class="+class) {
			t.Errorf("nothing said of %s:\n%s", class, said.String())
		}
	}
}
