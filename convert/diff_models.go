package main

import (
	"fmt"
	"slices"
	"strings"

	"xbmedge/internal/bundle"
	"xbmedge/internal/tflitefile"
)

// mostChanges bounds the layers that are listed; the rest is counted.
const mostChanges = 40

// compareModels compares what stands in the files.
func compareModels(a, b *side) (*difference, error) {
	d := &difference{Old: a.path, New: b.path, SameModel: a.info.SHA256 == b.info.SHA256, Changes: []change{}}
	d.ReadsOld = a.info.SpaceID == b.info.SpaceID || slices.Contains(b.info.CompatibleSpaces, a.info.SpaceID)
	add := func(what string, old, now any) {
		if o, n := fmt.Sprint(old), fmt.Sprint(now); o != n {
			d.Changes = append(d.Changes, change{what, o, n})
		}
	}
	add("model sha256", a.info.SHA256, b.info.SHA256)
	add("space", a.info.SpaceID, b.info.SpaceID)
	if x, y := a.info.Bundle, b.info.Bundle; x != nil && y != nil {
		compareManifests(x, y, add)
	}
	if d.SameModel {
		return d, nil
	}
	old, err := tflitefile.Decode(a.model)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.path, err)
	}
	now, err := tflitefile.Decode(b.model)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.path, err)
	}
	add("model bytes", len(a.model), len(b.model))
	add("description", old.Description, now.Description)
	add("operators", operators(old), operators(now))
	compareTensors(old, now, d)
	return d, nil
}

func compareManifests(a, b *bundle.Bundle, add func(string, any, any)) {
	x, y := a.Manifest(), b.Manifest()
	add("name", x.Name, y.Name)
	add("version", x.Version, y.Version)
	add("created", x.Created, y.Created)
	add("input", x.Input, y.Input)
	add("dim", x.Dim, y.Dim)
	add("quantisation", x.Quantisation, y.Quantisation)
	add("compatible spaces", orNone(strings.Join(x.CompatibleSpaces, " ")), orNone(strings.Join(y.CompatibleSpaces, " ")))
	add("needs xbm-agent", orNone(x.MinAgent), orNone(y.MinAgent))
	add("key", orNone(a.KeyID()), orNone(b.KeyID()))
	add("classes", len(a.Classes()), len(b.Classes()))
	add("thresholds", a.Thresholds(), b.Thresholds())
	add("golden images", len(a.Golden()), len(b.Golden()))
}

// operators counts a model's operators by name.
func operators(m *tflitefile.Model) string {
	count := map[string]int{}
	var names []string
	for i := range m.Operators {
		name := m.Operators[i].Name()
		if count[name]++; count[name] == 1 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", count[name], name)
	}
	return strings.Join(names, ", ")
}

// compareTensors compares tensors of the same name.
func compareTensors(old, now *tflitefile.Model, d *difference) {
	byName := map[string]string{}
	for i := range now.Tensors {
		byName[now.Tensors[i].Name] = describeTensor(now, i)
	}
	var changes []change
	for i := range old.Tensors {
		name := old.Tensors[i].Name
		is, there := byName[name]
		delete(byName, name)
		if !there {
			is = "not there"
		}
		if was := describeTensor(old, i); was != is {
			changes = append(changes, change{fmt.Sprintf("tensor %q", name), was, is})
		}
	}
	for i := range now.Tensors {
		if is, left := byName[now.Tensors[i].Name]; left {
			changes = append(changes, change{fmt.Sprintf("tensor %q", now.Tensors[i].Name), "not there", is})
		}
	}
	if more := len(changes) - mostChanges; more > 0 {
		changes = append(changes[:mostChanges], change{"tensors", fmt.Sprintf("%d more differ", more), "not listed"})
	}
	d.Changes = append(d.Changes, changes...)
}

func describeTensor(m *tflitefile.Model, i int) string {
	t := &m.Tensors[i]
	return fmt.Sprintf("%v %v, %s", t.Type, t.Shape, quantisation(t.Quant))
}
