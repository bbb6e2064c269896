package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// output runs the test program and returns what it printed.
func output(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if err := testProgram().Run(t.Context(), args, &stdout, &stderr); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return stdout.String()
}

func TestHelpListsWhatIsNotHidden(t *testing.T) {
	help := output(t, "help")
	for _, want := range []string{"prog do ", "prog list add ", "prog list remove ", "prog completion bash ", "--version "} {
		if !strings.Contains(help, want) {
			t.Errorf("no %q in\n%s", want, help)
		}
	}
	for _, hidden := range []string{"secret", "prog man", "powershell"} {
		if strings.Contains(help, hidden) {
			t.Errorf("%q in\n%s", hidden, help)
		}
	}
}

func TestHelpOfACommand(t *testing.T) {
	want := "prog do - print do\n\nDoes it.\n\nThen `stops`.\n\n" +
		"Usage:\n  prog do --out FILE [flags]\n\n" +
		"Examples:\n  prog do --out 'f'\n\n" +
		"Flags:\n" +
		"  --out FILE        FILE to write (required)\n" +
		"  --kind KIND       what KIND of *it* (default plain)\n" +
		"  --depth INT       how deep\n" +
		"  --fast            be fast\n" +
		"  --folder FOLDER   FOLDER to look in\n" +
		"  -h, --help        print this help\n"
	if diff := cmp.Diff(want, output(t, "do", "--help")); diff != "" {
		t.Error(diff)
	}
}

func TestCompletions(t *testing.T) {
	const noFiles, files, folders = ":4\n", ":0\n", ":16\n" // cobra's directives to the shell
	for _, tt := range []struct {
		args        []string
		want, after string
		never       string
	}{
		{[]string{""}, "do\tprint do\n", noFiles, "secret"},
		{[]string{"li"}, "list\tkeep a list\n", noFiles, "do"},
		{[]string{"list", ""}, "add\tprint add\n", noFiles, "do"},
		{[]string{"help", "list", ""}, "add\tprint add\n", noFiles, "do"},
		{[]string{"completion", ""}, "bash\t", noFiles, "powershell"},
		{[]string{"do", "--"}, "--out\tFILE to write\n", noFiles, "`"},
		{[]string{"do", ""}, "", noFiles, "add"},
		{[]string{"do", "--kind", ""}, "plain\nfancy\n", noFiles, ""},
		{[]string{"do", "--out", ""}, "", files, "plain"},
		{[]string{"do", "--folder", ""}, "", folders, "plain"},
		{[]string{"do", "--depth", ""}, "", noFiles, "plain"},
		{[]string{"list", "add", ""}, "", noFiles, "plain"},
		{[]string{"list", "remove", ""}, "", files, "plain"},
	} {
		got := output(t, append([]string{"__complete"}, tt.args...)...)
		if !strings.Contains(got, tt.want) || !strings.HasSuffix(got, tt.after) || tt.never != "" && strings.Contains(got, tt.never) {
			t.Errorf("%q: %q; want %q, %q in the end and no %q", tt.args, got, tt.want, tt.after, tt.never)
		}
	}
	for shell, want := range map[string]string{"bash": "complete -o default -F __start_prog prog", "zsh": "#compdef prog", "fish": "complete -c prog"} {
		if script := output(t, "completion", shell); !strings.Contains(script, want) || !strings.Contains(script, "__complete") {
			t.Errorf("%s: no %q, or it asks the program for nothing", shell, want)
		}
	}
}

func TestManualPages(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "86399")
	dir := filepath.Join(t.TempDir(), "new", "man1")
	output(t, "man", "--out", dir)
	pages := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		pages[e.Name()] = string(text)
	}
	for _, name := range []string{
		"prog", "prog-do", "prog-break", "prog-list", "prog-list-add", "prog-list-remove", "prog-version", "prog-completion-bash",
	} {
		page := pages[name+".1"]
		for _, want := range []string{
			`.TH "` + strings.ToUpper(name) + `" "1" "1970-01-01" "xbmedge" "xbmedge manual"`, ".SH NAME\n" + strings.ReplaceAll(name, "-", `\-`) + ` \- `,
			".SH SYNOPSIS\n", ".SH DESCRIPTION\n", ".SH OPTIONS\n.TP\n", `\fB\-h\fP, \fB\-\-help\fP` + "\n", ".SH EXIT STATUS\n", ".SH SEE ALSO\n",
		} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %q in\n%s", name, want, page)
			}
		}
	}
	for name := range pages {
		if regexp.MustCompile("secret|man|powershell|help").MatchString(name) {
			t.Errorf("%s for a command that is hidden", name)
		}
	}
	if want := ".SH COMMANDS\n.TP\n\\fBprog list add\\fP\nprint add\n"; !strings.Contains(pages["prog-list.1"], want) {
		t.Errorf("no %q in\n%s", want, pages["prog-list.1"])
	}
	page := pages["prog-do.1"]
	for _, want := range []string{
		`\fBprog do \-\-out FILE [flags]\fP`, "Does it.\n", "\\fBstops\\fR", ".EX\nprog do \\-\\-out \\(aqf\\(aq\n.EE\n",
		"\\fB\\-\\-out\\fP \\fIFILE\\fP\nFILE to write (required)\n", "\\fB\\-\\-fast\\fP\nbe fast\n", "what KIND of *it* (default plain)\n",
		".SH SEE ALSO\n\\fBprog(1)\\fP\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}

// TestManualPagesRepeat: without a date to take, pages have none that changes.
func TestManualPagesRepeat(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	dir := t.TempDir()
	output(t, "man", "--out", dir)
	page, err := os.ReadFile(filepath.Join(dir, "prog.1"))
	if err != nil || !strings.Contains(string(page), `.TH "PROG" "1" "" "xbmedge"`) {
		t.Errorf("%v\n%s", err, page)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "today")
	var out bytes.Buffer
	if err := testProgram().Run(t.Context(), []string{"man", "--out", dir}, &out, &out); err == nil {
		t.Error("a date that is none is taken")
	}
}
