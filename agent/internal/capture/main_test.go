package capture_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"xbmedge/agent/internal/capture"
	"xbmedge/camera"
	"xbmedge/camera/opencv"
)

// childArgument makes this test program a capture process.
const childArgument = "be-a-capture-process"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && (os.Args[1] == childArgument || os.Args[1] == counterArgument || os.Args[1] == "capture") {
		video := opencv.Open
		switch os.Args[1] {
		case counterArgument:
			video = openCounter
		case "capture": // as xbm-agent, without OpenCV
			video = nil
		}
		if err := capture.Child(context.Background(), os.Stdin, os.Stderr, video); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == agentArgument {
		os.Exit(beAnAgent(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

// agentArgument makes this test program an agent that says which process captures for it, and waits to be killed. The
// command line of that process follows.
const agentArgument = "be-an-agent"

func beAnAgent(program []string) int {
	src, err := capture.Open(context.Background(), capture.Options{
		Camera:  camera.Config{Kind: camera.Test, Address: "stall=0s"},
		Program: program, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(src.PID())
	time.Sleep(time.Hour)
	return 0
}

func options(t testing.TB, address string) capture.Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return capture.Options{
		Camera:  camera.Config{Kind: camera.Test, Address: address, Timeout: 5 * time.Second},
		Program: []string{self, childArgument}, Counts: &capture.Counts{}, Log: slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, o capture.Options) *capture.Source {
	t.Helper()
	src, err := capture.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return src
}
