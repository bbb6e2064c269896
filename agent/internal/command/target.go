package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/curator"
	"xbmedge/agent/internal/model"
	"xbmedge/internal/cli"
	"xbmedge/internal/vision"
)

// target is the gallery that a command is about: a file at rest, or the one of an agent that runs.
type target struct {
	gallery, model, socket string
	threads                int
}

func (t *target) flags(f *cli.Flags) {
	f.StringVar(&t.gallery, "gallery", "", "gallery `FILE`")
	f.StringVar(&t.socket, "control", control.DefaultPath(), "socket `FILE` of the agent that may be running with this gallery; none: do not look")
	f.Require("gallery")
}

// modelFlags adds the flags for commands that look at pictures.
func (t *target) modelFlags(f *cli.Flags) {
	f.StringVar(&t.model, "model", "", "embedding model `FILE` (.xbm or .tflite); not needed where an agent runs with this gallery")
	f.IntVar(&t.threads, "threads", 1, "run the model on `N` processor threads")
}

// session is a gallery that can be asked to change.
type session struct {
	client  *control.Client // nil at rest
	curator *curator.Curator
	model   *model.Model    // at rest, once it was needed
	info    curator.Outcome // of the agent
}

// open finds out whether an agent runs with the gallery. It does not touch the file.
func (t *target) open(ctx context.Context, stderr io.Writer) (*session, error) {
	if t.socket != "none" {
		client, info, err := t.agent(ctx)
		if err != nil {
			return nil, err
		}
		if client != nil {
			fmt.Fprintln(stderr, "the agent that runs is asked")
			return &session{client: client, info: info}, nil
		}
	}
	s := &session{}
	log := newLogger(stderr, config.Log{Level: "warn"})
	s.curator = curator.New(curator.Parts{Path: t.gallery, Log: log, Model: func() (curator.Embedder, error) {
		if t.model == "" {
			return nil, cli.Usagef("no agent runs with this gallery: the pictures need a --model")
		}
		var err error
		s.model, err = openModel(ctx, t.model, t.threads, log)
		return s.model, err
	}})
	return s, nil
}

// agent returns the connection to the agent that runs with the gallery, nil where there is none.
func (t *target) agent(ctx context.Context) (*control.Client, curator.Outcome, error) {
	client, err := control.Dial(ctx, t.socket)
	if errors.Is(err, control.ErrNoAgent) || errors.Is(err, os.ErrPermission) { // who may not ask may not write either
		return nil, curator.Outcome{}, nil
	}
	if err != nil {
		return nil, curator.Outcome{}, err
	}
	var info curator.Outcome
	if err := client.Do(ctx, &control.Request{Op: "info"}, &info); err != nil {
		return nil, info, errors.Join(err, client.Close())
	}
	if !sameFile(info.Gallery, t.gallery) {
		return nil, info, client.Close()
	}
	return client, info, nil
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	other, failed := os.Stat(b)
	return err == nil && failed == nil && os.SameFile(one, other)
}

// close frees what was opened.
func (s *session) close() error {
	if s.client != nil {
		return s.client.Close()
	}
	if s.model != nil {
		return s.model.Close()
	}
	return nil
}

// inputSize returns the size at which pictures are sent.
func (s *session) inputSize(ctx context.Context) (w, h int, err error) {
	info := s.info
	if s.client == nil {
		out, err := s.curator.Handle(ctx, &control.Request{Op: "info"})
		if err != nil {
			return 0, 0, err
		}
		info = *out.(*curator.Outcome)
	}
	return info.Input[0], info.Input[1], nil
}

// do asks for what next returns until that is nil. At rest it is one change, to an agent one after the other.
func (s *session) do(ctx context.Context, next func() (*control.Request, error)) ([]*curator.Outcome, error) {
	if s.client == nil {
		return s.curator.Batch(ctx, next)
	}
	var outs []*curator.Outcome
	for {
		r, err := next()
		if err != nil || r == nil {
			return outs, err
		}
		for i := range r.Pictures {
			if err := pack(&r.Pictures[i]); err != nil {
				return outs, err
			}
		}
		out := &curator.Outcome{}
		if err := s.client.Do(ctx, r, out); err != nil {
			return outs, err
		}
		outs = append(outs, out)
	}
}

// ask is do for one request.
func (s *session) ask(ctx context.Context, r *control.Request) (*curator.Outcome, error) {
	sent := false
	outs, err := s.do(ctx, func() (*control.Request, error) {
		if sent {
			return nil, nil //nolint:nilnil // the end
		}
		sent = true
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	return outs[0], nil
}

// pack makes a frame a file that loses nothing, so that the agent sees just what is here.
func pack(p *control.Picture) error {
	if p.Frame.Pix == nil {
		return nil
	}
	var out bytes.Buffer
	if err := vision.EncodePNG(&out, p.Frame); err != nil {
		return fmt.Errorf("picture %s: %w", p.Name, err)
	}
	p.Data, p.Frame = out.Bytes(), vision.Frame{}
	return nil
}
