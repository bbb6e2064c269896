package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

// completion is the group of commands that write root's completions for a shell.
func completion(root *cobra.Command) Command {
	shell := func(name, examples string, write func(io.Writer) error) Command {
		return Command{
			Name: name, Summary: "write what completes commands and flags in " + name, Examples: examples,
			Setup: func(*Flags) Func {
				return func(_ context.Context, _ []string, stdout, _ io.Writer) error { return write(stdout) }
			},
		}
	}
	name := root.Name()
	return Command{Name: "completion", Summary: "write completions for a shell", Commands: []Command{
		shell("bash", "# in this shell; the package bash-completion has to be there\n. <("+name+" completion bash)\n"+
			"# for everyone, from the next login\n"+name+" completion bash >/etc/bash_completion.d/"+name,
			func(w io.Writer) error { return root.GenBashCompletionV2(w, true) }),
		shell("zsh", "# from the next login, where compinit is called\n"+name+` completion zsh >"${fpath[1]}/_`+name+`"`,
			root.GenZshCompletion),
		shell("fish", name+" completion fish >~/.config/fish/completions/"+name+".fish",
			func(w io.Writer) error { return root.GenFishCompletion(w, true) }),
	}}
}
