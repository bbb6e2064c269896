package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/training/internal/dataset"
)

func dataCommand() cli.Command {
	return cli.Command{
		Name: "data", Summary: "look at photos before training on them",
		Commands: []cli.Command{dataInfoCommand()},
	}
}

// dataInfoFlags is the command line of data info.
type dataInfoFlags struct {
	data, json      string
	decode, classes bool
}

func dataInfoCommand() cli.Command {
	return cli.Command{
		Name: "info", Summary: "say what a data set holds, and what is amiss",
		Long: `Opens photos as fit does, and prints how many there are of how many classes,
what is trained on and what is tested with, and what could spoil a training.`,
		Examples: `xbm-train data info --data photos --decode
xbm-train data info --data Stanford_Online_Products --json info.json`,
		Setup: func(f *cli.Flags) cli.Func {
			var o dataInfoFlags
			f.StringVar(&o.data, "data", "", photosUsage)
			f.BoolVar(&o.decode, "decode", false, "also read every photo, to find those that cannot be")
			f.BoolVar(&o.classes, "classes", false, "also list the classes")
			f.StringVar(&o.json, "json", "", "also write the result to this `FILE`, with all classes")
			f.Require("data")
			return o.run
		},
	}
}

func (f *dataInfoFlags) run(ctx context.Context, _ []string, stdout, _ io.Writer) error {
	if f.json != "" {
		if err := atomicfile.Check(f.json); err != nil {
			return err
		}
	}
	s, err := dataset.Summarize(ctx, f.data, f.decode)
	if err != nil {
		return err
	}
	if err := f.print(stdout, s); err != nil {
		return err
	}
	if f.json == "" {
		return nil
	}
	return atomicfile.WriteJSON(f.json, 0o644, s)
}

func (f *dataInfoFlags) print(stdout io.Writer, s *dataset.Summary) error {
	fmt.Fprintf(stdout, "%s: %s\n", f.data, s.Kind)
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tphotos\tclasses\tof a class\tmedian")
	row := func(name string, p *dataset.Part) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d to %d\t%d\n", name, p.Photos, len(p.Classes), p.Least, p.Most, p.Median)
	}
	row("train", &s.Train)
	if s.Test != nil {
		row("test", s.Test)
	}
	if f.classes {
		listClasses(table, s)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var rest strings.Builder
	if s.Disjoint {
		rest.WriteString("No class to test with is trained on: each test photo looks among all others.\n")
	}
	for _, p := range s.Problems {
		rest.WriteString("- " + p + "\n")
	}
	_, err := io.WriteString(stdout, rest.String())
	return err
}

// listClasses writes a row for each class, with its photos in the two halves.
func listClasses(table io.Writer, s *dataset.Summary) {
	test := map[string]int{}
	if s.Test != nil {
		for _, c := range s.Test.Classes {
			test[c.Name] = c.Photos
		}
	}
	fmt.Fprintln(table, "\nclass\ttrain\ttest")
	for _, c := range s.Train.Classes {
		fmt.Fprintf(table, "%s\t%d\t%d\n", c.Name, c.Photos, test[c.Name])
		delete(test, c.Name)
	}
	if s.Test == nil {
		return
	}
	for _, c := range s.Test.Classes {
		if n, left := test[c.Name]; left {
			fmt.Fprintf(table, "%s\t0\t%d\n", c.Name, n)
		}
	}
}
