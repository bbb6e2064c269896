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
	kind, err := dataset.KindOf(data)
	if err != nil {
		return err
	}
	test, err := dataset.OpenTest(data)
	switch {
	case kind == dataset.SOP && err == nil:
		return r.among(test, "Each photo of the test half, whose classes were not trained on, looks for its class among all others of it.")
	case kind != dataset.Folders || !isFolder(filepath.Join(data, "test")) || !isFolder(filepath.Join(data, "train")):
		return r.heldBack(data)
	case err != nil:
		return err
	}
	train, err := dataset.OpenTrain(data)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, class := range train.Classes {
		known[class] = true
	}
	if !slices.ContainsFunc(test.Classes, func(class string) bool { return known[class] }) {
		return r.among(test, "Each photo of test/, whose classes train/ does not have, looks for its class among all others of test/.")
	}
	queries, err := r.embed(test)
	if err != nil {
		return err
	}
	gallery, err := r.embed(train)
	if err != nil {
		return err
	}
	lg, lq := embed.Labels(gallery, queries)
	r.in.Protocol = "Each photo of test/ looks for its class among those of train/."
	r.in.Classes = classNames(gallery, queries, lg, lq)
	r.in.Queries = report.Set{Embeddings: queries.Embeddings, Labels: lq, Photos: queries.Photos}
	r.in.Gallery = report.Set{Embeddings: gallery.Embeddings, Labels: lg, Photos: gallery.Photos}
	return nil
}

// among lets each photo of a set look among all others of it.
func (r *reporting) among(set *dataset.Dataset, protocol string) error {
	all, err := r.embed(set)
	if err != nil {
		return err
	}
	labels, none := embed.Labels(all, embed.Set{})
	r.in.Protocol, r.in.LeaveOneOut = protocol, true
	r.in.Classes = classNames(all, embed.Set{}, labels, none)
	r.in.Gallery = report.Set{Embeddings: all.Embeddings, Labels: labels, Photos: all.Photos}
	r.in.Queries = r.in.Gallery
	return nil
}

// heldBack divides the photos as training does: of the same photos the same are held back.
func (r *reporting) heldBack(data string) error {
	listed, err := dataset.OpenTrain(data)
	if err != nil {
		return err
	}
	all, err := r.embed(listed)
	if err != nil {
		return err
	}
	index := map[string]int{}
	for i, p := range all.Photos {
		index[p.Path] = i
	}
	set, err := readable(listed, index)
	if err != nil {
		return fmt.Errorf("%s: %w", data, err)
	}
	if e := r.trained; e != nil && (e.Photos != len(set.Labels) || e.Classes != len(set.Classes)) {
		return r.among(set, "These are not the photos of the training: each looks for its class among all others.")
	}
	d, err := r.cfg.divide(set)
	if err != nil {
		return err
	}
	pick := func(indices []int) report.Set {
		s := report.Set{}
		s.Dim = all.Dim
		for _, i := range indices {
			s.Data = append(s.Data, all.Row(index[d.set.Photos[i].Path])...)
			s.Labels, s.Photos = append(s.Labels, d.set.Labels[i]), append(s.Photos, d.set.Photos[i])
		}
		return s
	}
	r.in.Classes = d.set.Classes
	switch {
	case r.cfg.Data.HoldoutClasses > 0:
		r.in.Gallery, r.in.LeaveOneOut = pick(d.held), true
		r.in.Protocol = "Each photo of the classes held back from training looks for its class among all others of them."
	case len(d.held) == 0:
		r.in.Gallery, r.in.LeaveOneOut = pick(d.learned), true
		r.in.Protocol = "No photo was held back: each looks for its class among all others, all of them trained on. " +
			"With new photos the figures will be lower."
	default:
		r.in.Gallery, r.in.Queries = pick(d.learned), pick(d.held)
		r.in.Protocol = "Each photo held back from training looks for its class among those learned from."
		return nil
	}
	r.in.Queries = r.in.Gallery
	return nil
}

// readable returns what training keeps of a data set: without photos that are not in the index, by path, and then
// without classes of one photo.
func readable(set *dataset.Dataset, index map[string]int) (*dataset.Dataset, error) {
	// In this order, as training does it; the first leaves classes out that have photos, but none that makes a pair.
	set, _, err := set.ForTraining()
	if err != nil {
		return nil, err
	}
	kept := &dataset.Dataset{Classes: set.Classes}
	for i, p := range set.Photos {
		if _, read := index[p.Path]; read {
			kept.Photos, kept.Labels = append(kept.Photos, p), append(kept.Labels, set.Labels[i])
		}
	}
	kept, _, err = kept.ForTraining()
	return kept, err
}

func (r *reporting) embed(set *dataset.Dataset) (embed.Set, error) {
	all, skipped, err := embed.Photos(r.ctx, r.model, embed.Options{Log: r.log}, set.Photos)
	if err != nil {
		return embed.Set{}, err
	}
	for _, s := range skipped { // training has warned of them
		r.log.Debug("photo skipped", "path", s.Path, "err", s.Err)
	}
	if len(skipped) > 0 {
		r.in.Notes = append(r.in.Notes, fmt.Sprintf("%d photos cannot be read and are left out, the first of them %s.",
			len(skipped), filepath.Base(skipped[0].Path)))
	}
	return all, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
