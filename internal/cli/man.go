package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"xbmedge/internal/atomicfile"
)

// man is the hidden command that writes root's manual pages, for packages. Its output depends on the commands and on
// SOURCE_DATE_EPOCH only, so that it can be reproduced.
func man(root *cobra.Command) Command {
	return Command{
		Name: "man", Hidden: true, Summary: "write the manual pages",
		Long: "Writes a page in section 1 for every command. Their date is SOURCE_DATE_EPOCH; without it they have none.",
		Setup: func(f *Flags) Func {
			out := f.String("out", "", "`FOLDER` for the pages")
			f.Require("out")
			return func(context.Context, []string, io.Writer, io.Writer) error {
				date, err := sourceDate()
				if err != nil {
					return err
				}
				if err := os.MkdirAll(*out, 0o755); err != nil { //nolint:gosec // manual pages are for everyone
					return fmt.Errorf("man: %w", err)
				}
				return writePages(root, *out, date)
			}
		},
	}
}

// sourceDate is SOURCE_DATE_EPOCH as a date, "" without it.
func sourceDate() (string, error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return "", nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC().Format(time.DateOnly), nil
}

// writePages writes the pages of cmd and of the commands below it.
func writePages(cmd *cobra.Command, folder, date string) error {
	for _, sub := range available(cmd) {
		if err := writePages(sub, folder, date); err != nil {
			return err
		}
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	text, err := page(cmd, strings.ToUpper(name), date)
	if err != nil {
		return fmt.Errorf("man: %s: %w", name, err)
	}
	return atomicfile.WriteBytes(filepath.Join(folder, name+".1"), 0o644, text)
}

// page makes one page. cobra would list the flags with their defaults in place of their values' names: they are hidden
// from it and listed after the description, which goes into the page as Markdown; so are the commands of a group.
func page(cmd *cobra.Command, title, date string) ([]byte, error) {
	text := cmd.Long
	if text == "" {
		text = sentence(cmd.Short)
	}
	if len(available(cmd)) > 0 {
		text += "\n\n# COMMANDS\n\n"
		listCommands(cmd, func(command, summary string) { text += "**" + command + "**\n: " + escape(summary) + "\n\n" })
	}
	text += "\n\n# OPTIONS\n\n"
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		names, value, usage := describe(flag)
		text += "**" + strings.ReplaceAll(names, ", ", "**, **") + "**"
		if value != "" {
			text += " *" + value + "*"
		}
		text += "\n: " + escape(usage) + "\n\n"
		flag.Hidden = true
	})
	cmd.Long = text + "# EXIT STATUS\n\n0 after success, 1 after a failure, 2 after a wrong command line, unless\nsaid otherwise above.\n"
	var none time.Time // cobra would take today's date, or the one wanted in the local time zone and without its day
	var out bytes.Buffer
	header := doc.GenManHeader{Title: title, Section: "1", Date: &none, Source: "xbmedge", Manual: "xbmedge manual"}
	if err := doc.GenMan(cmd, &header, &out); err != nil {
		return nil, err
	}
	text = strings.Replace(out.String(), none.Format(`"Jan 2006"`), strconv.Quote(date), 1)
	return []byte(tidy(text)), nil
}

// tidy makes roff text such that what is copied out of a page, or searched for in it, are the characters that were
// meant: hyphens are minus signs, and in examples quotes stay as they are. Empty lines outside examples go: the requests
// for paragraphs make the space.
func tidy(page string) string {
	text := strings.NewReplacer(`\-`, `\-`, "-", `\-`)
	example := strings.NewReplacer(`\-`, `\-`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "~", `\(ti`, "^", `\(ha`)
	var out strings.Builder
	inExample := false
	for line := range strings.Lines(page) {
		switch {
		case strings.HasPrefix(line, "."):
			inExample = strings.HasPrefix(line, ".EX")
		case inExample:
			line = example.Replace(line)
		case line == "\n":
			continue
		default:
			line = text.Replace(line)
		}
		out.WriteString(line)
	}
	return out.String()
}

// sentence makes one of a summary.
func sentence(summary string) string { return strings.ToUpper(summary[:1]) + summary[1:] + "." }

// escape takes their meaning from characters that have one in Markdown.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "`", "\\`", "<", `\<`, "[", `\[`, "|", `\|`).Replace(text)
}
