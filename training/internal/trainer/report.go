package trainer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/embed"
	"xbmedge/internal/nn"
	"xbmedge/internal/photos"
	"xbmedge/training/internal/dataset"
	"xbmedge/training/internal/report"
)

// ReportFile is the report in a run folder.
const ReportFile = "report.html"

// Report writes the report of the run in that folder to a file, with the network of its best checkpoint and photos of
// the folder data, the run's own where that is empty. Photos of data/test look for their class among those of
// data/train; without the former those held back in training look among the others.
func Report(ctx context.Context, run, data, file string, log *slog.Logger) error {
	d, err := ReadDescription(run)
	if err != nil {
		return err
	}
	if data == "" {
		data = d.Data
	}
	if err := atomicfile.Check(file); err != nil { // before the work, which may take minutes
		return err
	}
	net, w, err := nn.ReadNetwork(run)
	if err != nil {
		return err
	}
	model, err := floatModel(net, w)
	if err != nil {
		return err
	}
	log.Info("writing the report", "file", file)
	in := &report.Input{Title: runName(run), MemorySize: d.Config.XBM.Size}
	if in.Steps, err = folder(run).steps(); err != nil {
		return err
	}
	if in.Config, err = os.ReadFile(folder(run).path(configFile)); err != nil {
		return fmt.Errorf("read run: %w", err)
	}
	e, err := folder(run).environment()
	if err != nil {
		return err
	}
	r := &reporting{ctx: ctx, model: model, cfg: &d.Config, trained: e, in: in, log: log}
	if err := r.photos(data); err != nil {
		return fmt.Errorf("report on %s: %w", run, err)
	}
	in.Facts = facts(d, e, net, in, data)
	return atomicfile.Write(file, 0o644, func(w io.Writer) error { return report.Write(ctx, w, in) })
}

// runName is how a run folder is called, whatever folder the program runs in.
func runName(run string) string {
	if whole, err := filepath.Abs(run); err == nil {
		return filepath.Base(whole)
	}
	return filepath.Base(run)
}

// steps reads metrics.jsonl. A last line that a kill cut short is passed over.
func (f folder) steps() ([]report.Step, error) {
	file, err := os.Open(f.path(metricsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	defer func() { _ = file.Close() }() // read only: nothing is lost
	var steps []report.Step
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var s report.Step
		if json.Unmarshal(lines.Bytes(), &s) == nil {
			steps = append(steps, s)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return steps, nil
}

// environment reads what a run was made with, nil for a run of before that was written down.
func (f folder) environment() (*Environment, error) {
	raw, err := os.ReadFile(f.path(environmentFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read run: %w", err)
	}
	e := &Environment{}
	if err := json.Unmarshal(raw, e); err != nil {
		return nil, fmt.Errorf("read run: %s: %w", f.path(environmentFile), err)
	}
	return e, nil
}

// reporting gathers the photos of a report.
type reporting struct {
	ctx     context.Context
	model   []byte
	cfg     *Config
	trained *Environment // nil where not known
	in      *report.Input
	log     *slog.Logger
}

// photos chooses and embeds what is searched for, and where.
func (r *reporting) photos(data string) error {
	test := filepath.Join(data, "test")
	if !isFolder(test) || TrainFolder(data) == data {
		return r.heldBack(data)
	}
	queries, err := r.embed(test)
	if err != nil {
		return err
	}
	gallery, err := r.embed(TrainFolder(data))
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, p := range gallery.Photos {
		known[p.Class] = true
	}
	if !slices.ContainsFunc(queries.Photos, func(p photos.Photo) bool { return known[p.Class] }) {
		r.in.Protocol = "Each photo of test/, whose classes train/ does not have, looks for its class among all others of test/."
		r.in.LeaveOneOut, gallery = true, queries
	} else {
		r.in.Protocol = "Each photo of test/ looks for its class among those of train/."
	}
	lq, lg := embed.Labels(queries, gallery)
	r.in.Queries, r.in.Gallery = reportSet(queries, lq), reportSet(gallery, lg)
	r.in.Classes = classNames(r.in.Queries, r.in.Gallery)
	return nil
}

// heldBack splits the photos as training does: with the same photos the same are held back.
func (r *reporting) heldBack(data string) error {
	all, err := r.embed(TrainFolder(data))
	if err != nil {
		return err
	}
	index := map[string]int{}
	loaded := &dataset.Dataset{Photos: all.Photos}
	for i, p := range all.Photos {
		index[p.Path] = i
		if n := len(loaded.Classes); n == 0 || loaded.Classes[n-1] != p.Class {
			loaded.Classes = append(loaded.Classes, p.Class)
		}
		loaded.Labels = append(loaded.Labels, len(loaded.Classes)-1)
	}
	set, _, err := loaded.ForTraining()
	if err != nil {
		return fmt.Errorf("%s: %w", data, err)
	}
	pick := func(indices []int) report.Set {
		s := report.Set{}
		s.Dim = all.Dim
		for _, i := range indices {
			s.Data = append(s.Data, all.Row(index[set.Photos[i].Path])...)
			s.Labels, s.Photos = append(s.Labels, set.Labels[i]), append(s.Photos, set.Photos[i])
		}
		return s
	}
	r.in.Classes = set.Classes
	if e := r.trained; e != nil && (e.Photos != len(set.Labels) || e.Classes != len(set.Classes)) {
		everything, _ := split(set.Labels, 0, r.cfg.Seed)
		r.in.Gallery, r.in.LeaveOneOut = pick(everything), true
		r.in.Queries = r.in.Gallery
		r.in.Protocol = "These are not the photos of the training: each looks for its class among all others."
		return nil
	}
	learned, held := split(set.Labels, r.cfg.Data.Validation, r.cfg.Seed)
	r.in.Gallery, r.in.Queries = pick(learned), pick(held)
	r.in.Protocol = "Each photo held back from training looks for its class among those learned from."
	if len(held) == 0 {
		r.in.Queries, r.in.LeaveOneOut = r.in.Gallery, true
		r.in.Protocol = "No photo was held back: each looks for its class among all others, all of them trained on. " +
			"With new photos the figures will be lower."
	}
	return nil
}

func (r *reporting) embed(root string) (embed.Set, error) {
	set, err := dataset.Open(root) // says which photo lies in no class
	if err != nil {
		return embed.Set{}, err
	}
	all, skipped, err := embed.Photos(r.ctx, r.model, embed.Options{Log: r.log}, set.Photos)
	if err != nil {
		return embed.Set{}, err
	}
	for _, s := range skipped { // training has warned of them
		r.log.Debug("photo skipped", "path", s.Path, "err", s.Err)
	}
	if len(skipped) > 0 {
		r.in.Notes = append(r.in.Notes, fmt.Sprintf("%d photos in %s cannot be read and are left out, the first of them %s.",
			len(skipped), filepath.Base(root), filepath.Base(skipped[0].Path)))
	}
	return all, nil
}

func reportSet(s embed.Set, labels []int) report.Set {
	return report.Set{Embeddings: s.Embeddings, Labels: labels, Photos: s.Photos}
}

func classNames(sets ...report.Set) []string {
	var names []string
	for _, s := range sets {
		for i, l := range s.Labels {
			for len(names) <= l {
				names = append(names, "")
			}
			names[l] = s.Photos[i].Class
		}
	}
	return names
}
