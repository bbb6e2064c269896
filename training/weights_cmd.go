package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"xbmedge/internal/cli"
	"xbmedge/training/internal/pretrained"
)

func weightsCommand() cli.Command {
	return cli.Command{
		Name: "weights", Summary: "list and fetch pretrained weights",
		Long: `A network that has learned from ImageNet learns a person's things from far
fewer photos. The weights are others' work and keep their licence.`,
		Commands: []cli.Command{weightsListCommand(), weightsGetCommand()},
	}
}

func weightsListCommand() cli.Command {
	return cli.Command{
		Name: "list", Summary: "list the weights that can be fetched, and the networks they fit",
		Setup: func(*cli.Flags) cli.Func { return listWeights },
	}
}

func listWeights(_ context.Context, _ []string, stdout, _ io.Writer) error {
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tNETWORK\tLICENCE\tMB\tSHA-256\tURL\tABOUT")
	for _, w := range pretrained.List() {
		size, sum := "?", "?"
		if w.MB > 0 {
			size = fmt.Sprintf("%.0f", w.MB)
		}
		if w.SHA256 != "" {
			sum = w.SHA256 + "…"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", w.Name, w.Network, w.Licence, size, sum, w.URL, w.About)
	}
	return table.Flush()
}

func weightsGetCommand() cli.Command {
	return cli.Command{
		Name: "get", Args: "NAME", Summary: "fetch weights into the cache, and print where they are",
		Long: `Only a file that has the published SHA-256, and holds tensors, is kept. Where
there is no network, the command says what to put where by hand.`,
		Examples: "xbm-train weights get torchvision-mobilenet-v3-small",
		Setup: func(f *cli.Flags) cli.Func {
			var o weightsGet
			f.StringVar(&o.folder, "folder", "", "`FOLDER` to keep it in, instead of the user's cache")
			return o.run
		},
	}
}

// weightsGet is the command line of weights get.
type weightsGet struct{ folder string }

func (f *weightsGet) run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) != 1 {
		return cli.Usagef("weights get needs one NAME: see xbm-train weights list")
	}
	w, err := pretrained.Find(args[0])
	if err != nil {
		return err
	}
	if f.folder == "" {
		if f.folder, err = pretrained.Folder(); err != nil {
			return err
		}
	}
	p := newProgress(stderr)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 30 * time.Second
	got, err := pretrained.Get(ctx, &http.Client{Transport: transport}, w, f.folder, p.download)
	p.end()
	if err != nil {
		return err
	}
	if !got.Cached {
		fmt.Fprintf(stderr, "%s: SHA-256 %s; licence %s; for network.name %s\n", w.Name, got.SHA256, w.Licence, w.Network)
	}
	_, err = fmt.Fprintln(stdout, got.Path)
	return err
}

// download shows how a download comes along, on a terminal.
func (p *progress) download(done, total int64) {
	if !p.terminal {
		return
	}
	share := 0.0
	if total > 0 {
		share = float64(done) / float64(total)
	}
	p.bar(share, fmt.Sprintf("%.1f MB", float64(done)/(1<<20)))
}
