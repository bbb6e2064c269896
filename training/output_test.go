package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

var errFull = errors.New("no space left on device")

// disk takes so many bytes and then is full.
type disk struct{ left int }

func (d *disk) Write(p []byte) (int, error) {
	n := min(len(p), d.left)
	d.left -= n
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

// TestNoOutputIsLost: where the last byte of a result could not be written the command has failed.
func TestNoOutputIsLost(t *testing.T) {
	run, photos := smallRun(t), colours(t, 3)
	lone := filepath.Join(t.TempDir(), "list.txt")
	var list strings.Builder
	for c := range 3 {
		fmt.Fprintf(&list, "%s %d\n", filepath.Join(photos, fmt.Sprintf("class%d", c), "0.png"), c)
	}
	write(t, lone, []byte(list.String()))
	fit := "fit --data " + photos + " --set network.name=smallcnn --set network.freeze= --set network.views=0 --set network.size=16 --set network.channels=4 --set schedule.steps=1 --set data.cache=off --out "
	for _, args := range []string{
		"data info --data " + photos,
		"data info --classes --data " + lone, // with problems to tell of
		"engines", "engines --json", "version", "weights list",
		"eval --run " + run + " --self " + photos,
		"eval --run " + run + " --per-class --self " + photos,
		"eval --run " + run + " --json - --self " + photos,
		"predict --run " + run + " " + photos,
		"export --run " + run + " --out " + filepath.Join(t.TempDir(), "m.onnx"),
		"clip --per-class 1 --frames 1 --data " + photos + " --out " + t.TempDir(),
		"synth --products 2 --train-views 2 --test-views 1 --strangers 0 --clip-segments 2 --size 32 --replace --out " + filepath.Join(t.TempDir(), "s"),
		fit + "%",
	} {
		t.Run(strings.Fields(args)[0], func(t *testing.T) {
			fresh := func() []string {
				return strings.Fields(strings.ReplaceAll(args, "%", filepath.Join(t.TempDir(), "run")))
			}
			stdout, stderr, err := runCommand(t, fresh()...)
			if err != nil || stdout == "" {
				t.Fatalf("%v, said %q and %q", err, stdout, stderr)
			}
			short := &disk{left: len(stdout) - 1}
			if strings.HasPrefix(args, "fit") {
				short.left = 0 // the figures' lengths differ
			}
			if err := newProgram().Run(t.Context(), fresh(), short, io.Discard); !errors.Is(err, errFull) {
				t.Errorf("error %v, want %v", err, errFull)
			}
		})
	}
}

// TestJSONIsTriedFirst: where the result cannot go is said before the work it takes.
func TestJSONIsTriedFirst(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "none", "x.json")
	for _, args := range []string{"fit --data none --out o", "fit --resume none", "data info --data none", "eval --run none --self none"} {
		_, _, err := runCommand(t, append(strings.Fields(args), "--json", nowhere)...)
		if err == nil || !strings.Contains(err.Error(), "there is no folder "+filepath.Dir(nowhere)) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
