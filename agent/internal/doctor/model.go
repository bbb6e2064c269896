package doctor

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"xbmedge/agent/internal/model"
	"xbmedge/internal/bundle"
	"xbmedge/internal/bundle/parity"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// grey is the brightness of the picture that tries a model.
const grey = 128

func (p *patient) lookAtModel(ctx context.Context, r *report) {
	path := p.cfg.Model.Path
	f, err := p.Stat(path)
	if err != nil {
		missing(r, "model.path", path, err)
		p.lookAtGallery(r, nil)
		return
	}
	if !f.Mode.IsRegular() {
		r.fault("name the .tflite file or the bundle in model.path", "%s is no file", path)
		p.lookAtGallery(r, nil)
		return
	}
	if why, remedy := p.barred(path, toRead); why != "" {
		r.fault(remedy, "%s", why)
	}
	if p.TFLite.Err != nil {
		p.lookAtGallery(r, nil)
		return // told of the program
	}
	with, err := p.OpenModel(ctx, p.real(path), p.cfg.Model)
	if err != nil {
		r.fault(modelRemedy(err), "%s cannot be used: %s", path, reason(err))
		p.lookAtGallery(r, nil)
		return
	}
	p.lookAtGallery(r, &with)
	p.lookAtBundle(r, &with)
	picture := vision.NewFrame(with.Embedder.InputSize())
	for i := range picture.Pix {
		picture.Pix[i] = grey
	}
	started := time.Now()
	err = errors.Join(with.Embedder.Embed(make([]float32, with.Embedder.Dim()), picture), with.Embedder.Close())
	if err != nil {
		r.fault("make the model again with `xbm-convert quantize`", "%s does not work: %v", path, err)
		return
	}
	ref := with.Embedder.Model()
	r.ok("%s (%s, %d values) embeds a picture in %.1f ms", ref.Name, ref.Quant, ref.Dim, time.Since(started).Seconds()*1000)
}

// modelRemedy says what to do about a model that cannot be opened.
func modelRemedy(err error) string {
	switch {
	case errors.Is(err, bundle.ErrUnsigned), errors.Is(err, bundle.ErrWrongKey):
		return "sign the bundle with a key of model.keys (`xbm-convert sign`), or correct model.keys"
	case errors.Is(err, bundle.ErrBadSignature):
		return "take nothing from where this came from; copy the bundle again from the host"
	case errors.Is(err, bundle.ErrAgentTooOld):
		return "upgrade xbm-agent, or take the bundle before"
	case errors.Is(err, parity.ErrFail):
		return "make the bundle again with `xbm-convert bundle`, or take the one before"
	}
	return "copy the model again, or make it with `xbm-convert quantize`"
}

// lookAtBundle tells of a bundle whose it is and whether the board computes what the host did.
func (p *patient) lookAtBundle(r *report, with *Opened) {
	info := with.Info
	if info.Bundle == nil {
		return
	}
	versions, err := model.OpenVersions(p.real(p.cfg.StateDir), slog.New(slog.DiscardHandler))
	if err == nil && !p.cfg.Model.AllowDowngrade {
		if err := versions.Check(info); err != nil {
			r.fault("take the newer bundle, or set model.allow_downgrade to true", "%v", err)
		}
	}
	signed := "not verified: model.keys is empty"
	if info.KeyID != "" {
		signed = "signed with the key " + info.KeyID
	}
	r.ok("bundle %s version %d, %s", info.Name, info.Version, signed)
	switch c := with.Parity; {
	case c == nil:
	case c.Verdict == parity.Exact:
		r.ok("parity exact: %d golden images give the host's values", c.Images)
	default:
		r.ok("parity close: %d of %d values differ from the host's, by at most %.3g steps", c.Differing, c.Values, c.WorstSteps)
	}
}

// lookAtGallery looks whether there is a gallery, for this model where it is known.
func (p *patient) lookAtGallery(r *report, with *Opened) {
	path := p.cfg.Gallery.Path
	before := r.name
	r.name = "gallery"
	defer func() { r.name = before }()
	enroll := "`xbm-agent enroll --model " + p.cfg.Model.Path + " --gallery " + path + " NAME PICTURES…`"
	g, err := gallery.Read(p.real(path))
	if err == nil && with != nil {
		ref := with.Embedder.Model()
		g, err = gallery.Load(p.real(path), gallery.Model{Name: ref.Name, SHA256: ref.SHA256, Dim: ref.Dim, SpaceID: with.Info.SpaceID},
			with.Info.CompatibleSpaces...)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.fault("enroll the things to recognise: "+enroll, "there is no gallery %s", path)
		return
	case errors.Is(err, gallery.ErrWrongModel) && p.movable(path):
		r.warn("nothing; to go back, take the file that is kept beside it and the old model", "%s is of another model: the agent makes it anew from its pictures when it starts", path)
		return
	case errors.Is(err, gallery.ErrWrongModel):
		r.fault("take the model it was made with (model.path), or enroll into a new file: "+enroll, "%v", err)
		return
	case errors.Is(err, gallery.ErrCorrupt):
		r.fault("copy it again, or remove it and enroll anew: "+enroll, "%s: %v", path, gallery.ErrCorrupt) // without the names that err may tell
		return
	case err != nil && !p.throughService():
		r.fault("look at it with `ls -l "+path+"`", "%s cannot be read: %s", path, reason(err))
		return
	}
	if why, remedy := p.barred(path, toRead); why != "" {
		r.fault(remedy, "%s", why)
	}
	switch {
	case err != nil:
		r.fault("look at it with `ls -l "+path+"`", "%s cannot be read: %s", path, reason(err))
	case g.Recovered() != nil:
		r.warn("look what the last change was, and make it again: any change writes the file anew", "%s is damaged; the state before its last change is used", path)
	case len(g.Entries()) == 0:
		r.warn("enroll the things to recognise: "+enroll, "nothing is enrolled in %s: everything is unknown", path)
	default:
		r.ok("%d identities, %d embeddings, threshold %.3f", len(g.Entries()), g.Len(), g.Threshold())
	}
}

// movable reports whether a gallery of another model can be made anew from its pictures.
func (p *patient) movable(path string) bool {
	g, err := gallery.Read(p.real(path))
	return err == nil && g.CheckReembed() == nil
}
