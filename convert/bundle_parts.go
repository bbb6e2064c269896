package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"xbmedge/internal/bundle"
	"xbmedge/internal/bundle/parity"
	"xbmedge/internal/photos"
	"xbmedge/internal/vision"
)

// fromPhotos draws the golden images, and takes classes and thresholds from the photos unless files give them.
func (o *bundleFlags) fromPhotos(ctx context.Context, model []byte) error {
	list, err := photos.List(o.photos)
	if err != nil {
		return err
	}
	frames, err := o.draw(list)
	if err != nil {
		return err
	}
	if o.manifest, o.parts, err = parity.Compute(model, frames); err != nil {
		return fmt.Errorf("model %s: %w", o.model, err)
	}
	if o.parts.Classes, err = o.classNames(list); err != nil {
		return err
	}
	if o.thresholds != "" {
		return readJSON(o.thresholds, &o.parts.Thresholds)
	}
	o.parts.Thresholds, err = o.measureThresholds(ctx, model, list)
	return err
}

// draw reads that many of the photos, in an order that the seed decides; those that cannot be read are told and passed
// over.
func (o *bundleFlags) draw(list []photos.Photo) ([]vision.Frame, error) {
	list = slices.Clone(list)
	rng := rand.New(rand.NewPCG(o.seed, 0))
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	var frames []vision.Frame
	for _, p := range list {
		if len(frames) == o.golden {
			break
		}
		frame, err := vision.DecodeFile(p.Path)
		if err != nil {
			fmt.Fprintf(o.stderr, "skipped as a golden image: %v\n", err)
			continue
		}
		frames = append(frames, frame)
	}
	if len(frames) == 0 {
		return nil, fmt.Errorf("none of the %d photos in %s can be read", len(list), o.photos)
	}
	return frames, nil
}

func (o *bundleFlags) classNames(list []photos.Photo) ([]string, error) {
	var names []string
	if o.classes == "" {
		for _, p := range list { // sorted by class
			if p.Class != "" && !slices.Contains(names, p.Class) {
				names = append(names, p.Class)
			}
		}
		return names, nil
	}
	text, err := os.ReadFile(o.classes)
	if err != nil {
		return nil, fmt.Errorf("read classes: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if name := strings.TrimSpace(line); name != "" {
			names = append(names, name)
		}
	}
	return names, nil
}

// runEnvironment is what a bundle needs of a run's environment.json.
type runEnvironment struct {
	Compatible *struct {
		SHA256  string `json:"sha256"`
		SpaceID string `json:"space_id"`
	} `json:"compatible"` // the older model that the network was trained to be compatible with
}

// provenance takes over what the run and the conversion tell of themselves.
func (o *bundleFlags) provenance() error {
	if o.conversion != "" {
		if err := readJSON(o.conversion, &o.manifest.Conversion); err != nil {
			return err
		}
	}
	if o.run == "" {
		return nil
	}
	training := map[string]json.RawMessage{}
	for _, name := range []string{"environment", "config"} {
		var text json.RawMessage
		err := readJSON(filepath.Join(o.run, name+".json"), &text)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		training[name] = text
	}
	if len(training) == 0 {
		return fmt.Errorf("--run %s has neither environment.json nor config.json: name the folder of a run of xbm-train fit", o.run)
	}
	text, err := json.Marshal(training)
	if err != nil {
		return fmt.Errorf("provenance: %w", err)
	}
	o.manifest.Training = text
	if training["environment"] == nil {
		return nil
	}
	var e runEnvironment
	if err := json.Unmarshal(training["environment"], &e); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(o.run, "environment.json"), err)
	}
	if old := e.Compatible; old != nil {
		space := old.SpaceID
		if space == "" {
			space = bundle.SpaceOf(old.SHA256)
		}
		if err := bundle.CheckSpace(space); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(o.run, "environment.json"), err)
		}
		o.manifest.CompatibleSpaces = addSpace(o.manifest.CompatibleSpaces, space)
	}
	return nil
}

// addSpaces adds those of --compatible-with: ids, or those of models.
func (o *bundleFlags) addSpaces() error {
	for _, text := range o.compatible {
		space := text
		if bundle.CheckSpace(space) != nil {
			_, info, err := bundle.LoadModel(text)
			if err != nil {
				return fmt.Errorf("--compatible-with %s is no space id and no model: %w", text, err)
			}
			space = info.SpaceID
		}
		o.manifest.CompatibleSpaces = addSpace(o.manifest.CompatibleSpaces, space)
	}
	return nil
}

func addSpace(list []string, space string) []string {
	if slices.Contains(list, space) {
		return list
	}
	return append(list, space)
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
