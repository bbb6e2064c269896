package command

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/config"
)

// journalFile stands in for the journal's stream.
func journalFile(t *testing.T) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(file.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", stat.Dev, stat.Ino))
	return file
}

func TestJournal(t *testing.T) {
	for format, want := range map[string]string{
		"text": `<6>msg=info a=1
<4>msg=warn camera=door a=1
<3>msg=error camera=door g.a="two\nlines"
`,
		"json": `<6>{"msg":"info","a":1}
<4>{"msg":"warn","camera":"door","a":1}
<3>{"msg":"error","camera":"door","g":{"a":"two\nlines"}}
`,
	} {
		file := journalFile(t)
		log := newLogger(file, config.Log{Level: "info", Format: format})
		log.Debug("debug")
		log.Info("info", "a", 1)
		log = log.With("camera", "door")
		log.Warn("warn", "a", 1)
		log.WithGroup("g").Error("error", "a", "two\nlines")
		got, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

func TestLogElsewhere(t *testing.T) {
	journalFile(t)
	other, err := os.Create(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	newLogger(other, config.Log{Level: "info"}).Info("hello")
	got, err := os.ReadFile(other.Name())
	if err != nil || !strings.HasPrefix(string(got), "time=") || !strings.Contains(string(got), "level=INFO msg=hello") {
		t.Errorf("to a file that is not the journal: %q, %v", got, err)
	}
	var buffer bytes.Buffer
	newLogger(&buffer, config.Log{Level: "warn"}).Info("hello")
	if buffer.Len() > 0 {
		t.Errorf("below its level: %q", buffer.String())
	}
}
