package doctor

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// grey is the brightness of the picture that tries a model.
const grey = 128

func (p *patient) lookAtModel(_ context.Context, r *report) {
	path := p.cfg.Model.Path
	f, err := p.Stat(path)
	if err != nil {
		missing(r, "model.path", path, err)
		p.lookAtGallery(r, nil)
		return
	}
	if !f.Mode.IsRegular() {
		r.fault("name the .tflite file in model.path", "%s is no file", path)
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
	model, err := p.OpenModel(p.real(path), p.cfg.Model.Threads)
	if err != nil {
		r.fault("copy the model again, or make it with `xbm-convert quantize`", "%s cannot be used: %s", path, reason(err))
		p.lookAtGallery(r, nil)
		return
	}
	ref := model.Model()
	p.lookAtGallery(r, &gallery.Model{Name: ref.Name, SHA256: ref.SHA256, Dim: ref.Dim})
	picture := vision.NewFrame(model.InputSize())
	for i := range picture.Pix {
		picture.Pix[i] = grey
	}
	started := time.Now()
	err = errors.Join(model.Embed(make([]float32, model.Dim()), picture), model.Close())
	if err != nil {
		r.fault("make the model again with `xbm-convert quantize`", "%s does not work: %v", path, err)
		return
	}
	r.ok("%s (%s, %d values) embeds a picture in %.1f ms", ref.Name, ref.Quant, ref.Dim, time.Since(started).Seconds()*1000)
}

// lookAtGallery looks whether there is a gallery, for this model where it is known.
func (p *patient) lookAtGallery(r *report, model *gallery.Model) {
	path := p.cfg.Gallery.Path
	before := r.name
	r.name = "gallery"
	defer func() { r.name = before }()
	enroll := "`xbm-agent enroll --model " + p.cfg.Model.Path + " --gallery " + path + " NAME PICTURES…`"
	g, err := gallery.Read(p.real(path))
	if err == nil && model != nil {
		g, err = gallery.Load(p.real(path), *model)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.fault("enroll the things to recognise: "+enroll, "there is no gallery %s", path)
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
	case len(g.Entries()) == 0:
		r.warn("enroll the things to recognise: "+enroll, "nothing is enrolled in %s: everything is unknown", path)
	default:
		r.ok("%d identities, %d embeddings, threshold %.3f", len(g.Entries()), g.Len(), g.Threshold())
	}
}
