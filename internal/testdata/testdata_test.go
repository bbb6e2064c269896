package testdata

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDirFollowsTheEnvironment(t *testing.T) {
	shared := t.TempDir()
	want := filepath.Join(shared, "data", "grocery")
	if err := os.MkdirAll(want, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv(EnvShared, shared)
	if got := Dir(t, "grocery"); got != want {
		t.Errorf("Dir = %q, want %q", got, want)
	}
}

func TestDirSkipsWhenAbsent(t *testing.T) {
	t.Setenv(EnvShared, t.TempDir())
	var skipped bool
	t.Run("absent", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		Dir(t, "grocery")
	})
	if !skipped {
		t.Error("Dir did not skip though the folder is absent")
	}
}

func TestRootHoldsGoMod(t *testing.T) {
	if _, err := os.Stat(filepath.Join(Root(t), "internal", "testdata", "testdata.go")); err != nil {
		t.Error(err)
	}
}
