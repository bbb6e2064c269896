package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"xbmedge/internal/cli"
	"xbmedge/internal/clip"
)

// TestCheck: each way in which a demo can fall short is an error that names it, and a good demo has none.
func TestCheck(t *testing.T) {
	good := Summary{
		RecallFloat: 0.99, RecallInt8: 0.985, Published: 100, Received: 100,
		Counts: clip.Counts{Correct: 38, Wrong: 2, UnknownRight: 15, UnknownWrong: 1},
	}
	if err := good.check(bounds["synthetic"]); err != nil {
		t.Fatalf("a good demo is refused: %v", err)
	}
	for want, spoil := range map[string]func(*Summary){
		"published 100 events, received 99": func(s *Summary) { s.Received = 99 },
		"nothing was published":             func(s *Summary) { s.Published, s.Received = 0, 0 },
		"recall@1 0.9400":                   func(s *Summary) { s.RecallFloat, s.RecallInt8 = 0.94, 0.94 },
		"int8 loses 0.0200":                 func(s *Summary) { s.RecallInt8 = 0.97 },
		"of the enrolled views":             func(s *Summary) { s.Correct, s.Wrong = 35, 5 },
		"told for 4 frames in a row":        func(s *Summary) { s.LongestWrong = 4 },
		"of the strangers":                  func(s *Summary) { s.UnknownRight, s.UnknownWrong = 14, 2 },
	} {
		s := good
		spoil(&s)
		if err := s.check(bounds["synthetic"]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

// TestCommand: the flags arrive, and bounds that are not known are refused before anything is read.
func TestCommand(t *testing.T) {
	for args, usage := range map[string]bool{"--clip /nonexistent/clip.json": false, "--bounds odd": true, "--bounds photos extra": true} {
		err := cli.Single(command())(t.Context(), strings.Fields(args), io.Discard, io.Discard)
		if err == nil || errors.Is(err, cli.ErrUsage) != usage || !usage && !strings.Contains(err.Error(), "/nonexistent") {
			t.Errorf("%q: %v, a usage error: %v", args, err, usage)
		}
	}
}

func TestListEnrolled(t *testing.T) {
	var x clip.Index
	x.Append(2, "salt", clip.Enrolled)
	x.Append(2, "odd", clip.Stranger)
	x.Append(2, "", clip.Empty)
	x.Append(2, "oil", clip.Enrolled)
	x.Append(2, "salt", clip.Enrolled)
	var out strings.Builder
	if err := listEnrolled(&out, &x); err != nil {
		t.Fatal(err)
	}
	if out.String() != "oil\nsalt\n" {
		t.Errorf("listed %q", out.String())
	}
}
