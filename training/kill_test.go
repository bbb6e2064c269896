package main

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflite"
	"xbmedge/training/internal/synth"
)

// asProgram makes the test binary behave like xbm-train.
const asProgram = "XBM_TRAIN_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		newProgram().Main()
		return
	}
	os.Exit(m.Run())
}

func program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// TestKilledRunEndsTheSame kills a run again and again, at moments that are not chosen, among them ones at which files
// are being written, and lets it go on: it must end with the very bytes of an undisturbed run.
func TestKilledRunEndsTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	o := synth.DefaultOptions(filepath.Join(dir, "data"))
	o.Products, o.Strangers, o.TrainViews, o.TestViews, o.Size, o.ClipSegments = 6, 1, 8, 1, 32, 0
	if err := synth.Generate(t.Context(), o, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	whole, killed := filepath.Join(dir, "whole"), filepath.Join(dir, "killed")
	fit := func(run string) []string {
		return []string{
			"fit", "--data", o.Dir, "--out", run, "--set", "network.name=smallcnn", "--set", "network.freeze=", "--set", "network.views=0", "--set", "network.size=32", "--set", "network.deploy_size=0", "--set", "network.channels=16,32", "--set", "network.embedding=16",
			"--set", "sampler.classes=4", "--set", "sampler.photos=4", "--set", "xbm.size=50", "--set", "xbm.start_iter=5", "--set", "optimizer.ema=0.9",
			"--set", "schedule.steps=200", "--set", "schedule.evaluate=10", "--set", "schedule.checkpoint=7", "--set", "data.cache=" + filepath.Join(dir, "cache"),
		}
	}
	if out, err := program(fit(whole)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	args := fit(killed)
	kills := 0
	for {
		var out bytes.Buffer
		cmd := program(args...)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		var err error
		select {
		case err = <-done:
		case <-time.After(time.Duration(150+rng.IntN(500)) * time.Millisecond):
			if kills < 12 {
				kills++
				_ = cmd.Process.Kill() // it may just have ended by itself
			}
			err = <-done
		}
		if err == nil {
			break
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Exited() { // ended by itself, with an error
			if strings.Contains(out.String(), "no checkpoint yet") || strings.Contains(out.String(), "holds no run") {
				// killed before its first checkpoint: it has to begin anew
				if err := os.RemoveAll(killed); err != nil {
					t.Fatal(err)
				}
				args = fit(killed)
				continue
			}
			t.Fatalf("after %d kills: %v\n%s", kills, err, out.String())
		}
		args = []string{"fit", "--resume", killed}
	}
	t.Logf("killed %d times", kills)
	for _, name := range []string{"model.safetensors", "network.json"} {
		a, errA := os.ReadFile(filepath.Join(whole, name))
		b, errB := os.ReadFile(filepath.Join(killed, name))
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from that of the undisturbed run", name)
		}
	}
	for _, name := range []string{"latest", "best"} { // their metadata hold images/s, which differ
		a, errA := nn.ReadSafetensors(filepath.Join(whole, "checkpoints", name+".safetensors"))
		b, errB := nn.ReadSafetensors(filepath.Join(killed, "checkpoints", name+".safetensors"))
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("the state in %s differs from that of the undisturbed run", name)
		}
	}
	for _, pattern := range []string{".*.tmp-*", "checkpoints/.*.tmp-*"} {
		if left, err := filepath.Glob(filepath.Join(killed, pattern)); err != nil || len(left) > 0 {
			t.Errorf("left by the kills: %v (%v)", left, err)
		}
	}
}
