// Package model opens the model that the agent recognises with: a bundle, verified and tried on its golden images, or a
// bare .tflite file.
package model

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"xbmedge/internal/bundle"
	"xbmedge/internal/bundle/parity"
	"xbmedge/internal/cli"
	"xbmedge/internal/embed"
	"xbmedge/internal/gallery"
	"xbmedge/internal/tflite"
)

// Options says which model is opened and how.
type Options struct {
	Path    string   // of a bundle or a .tflite file
	Threads int      // 0 means 1
	Keys    []string // public keys, or their files; when there are some, what none of them has signed is refused
	Trial   *Trial   // runs a bundle's golden images first; nil leaves that out
	Log     *slog.Logger
}

// Model is one that is open; it must be closed.
type Model struct {
	*embed.Embedder
	Info   bundle.ModelInfo
	Parity *parity.Certificate // nil where the golden images were not run
}

// Open verifies, tries and opens a model. What was verified is what is opened: the file is read once. Errors say what to
// do; those of bundles wrap that package's, and parity.ErrFail.
func Open(ctx context.Context, opt Options) (*Model, error) {
	if err := tflite.Available(); err != nil {
		return nil, err
	}
	raw, info, err := Load(opt.Path, opt.Keys)
	if err != nil {
		return nil, err
	}
	m := &Model{Info: info}
	if info.Bundle != nil && opt.Trial != nil {
		if m.Parity, err = opt.Trial.Run(ctx, info.Bundle); err != nil {
			return nil, fmt.Errorf("try bundle %s: %w", opt.Path, err)
		}
		if err := m.Parity.Err(); err != nil {
			return nil, fmt.Errorf("bundle %s: %w: the host made it for another runtime, or it is broken; make it again, "+
				"and look with `xbm-agent verify %[1]s`", opt.Path, err)
		}
	}
	if m.Embedder, err = embed.New(raw, embed.Options{Threads: opt.Threads, Log: opt.Log}); err != nil {
		return nil, fmt.Errorf("model %s: %w", opt.Path, err)
	}
	return m, nil
}

// Load reads and verifies a model without running it.
func Load(path string, keys []string) ([]byte, bundle.ModelInfo, error) {
	public, err := bundle.ParsePublicKeys(keys)
	if err != nil {
		return nil, bundle.ModelInfo{}, fmt.Errorf("model.keys: %w", err)
	}
	raw, info, err := bundle.LoadModel(path, public...)
	if err != nil {
		return nil, bundle.ModelInfo{}, err
	}
	if info.Bundle != nil {
		m := info.Bundle.Manifest()
		if err := m.CheckAgent(cli.Version()); err != nil {
			return nil, bundle.ModelInfo{}, fmt.Errorf("bundle %s: %w", path, err)
		}
	}
	return raw, info, nil
}

// ForGallery is the model as galleries know it.
func (m *Model) ForGallery() gallery.Model {
	ref := m.Model()
	return gallery.Model{Name: ref.Name, SHA256: ref.SHA256, Dim: ref.Dim, SpaceID: m.Info.SpaceID}
}

// LoadGallery reads a gallery that the model can use.
func (m *Model) LoadGallery(path string) (*gallery.Gallery, error) {
	g, err := gallery.Load(path, m.ForGallery(), m.Info.CompatibleSpaces...)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w; make it with `xbm-agent enroll`", err)
	}
	return g, err
}

// Describe logs what was opened, where it is a bundle.
func (m *Model) Describe(log *slog.Logger, g *gallery.Gallery) {
	if m.Info.Bundle != nil {
		log.Info("bundle", "name", m.Info.Name, "version", m.Info.Version, "key", m.Info.KeyID, "space", m.Info.SpaceID)
	}
	if c := m.Parity; c != nil {
		facts := []any{"images", c.Images, "values", c.Values, "differing", c.Differing, "worst_steps", c.WorstSteps}
		if c.Verdict == parity.Exact {
			log.Info("parity exact", facts...)
		} else {
			log.Warn("parity close: this machine rounds some values otherwise than the host", facts...)
		}
	}
	if others := g.OtherSpaces(); len(others) > 0 {
		log.Info("the gallery has embeddings of older models, which this one was trained to be compatible with", "spaces", others)
	}
}
