package trainer

import (
	"cmp"
	"fmt"
	"time"

	"xbmedge/internal/nn"
	"xbmedge/training/internal/optim"
	"xbmedge/training/internal/report"
)

// facts says what was trained, and how.
func facts(d *Description, e *Environment, net *nn.Network, in *report.Input, data string) []report.Fact {
	c := &d.Config
	list := []report.Fact{{Name: "network", Value: networkText(c, net)}, {Name: "data", Value: data}}
	add := func(name, format string, args ...any) {
		list = append(list, report.Fact{Name: name, Value: fmt.Sprintf(format, args...)})
	}
	if e != nil {
		add("photos trained with", "%d in %d classes", e.Photos, e.Classes)
	}
	add("photos searched", "%d, for %d queries", in.Gallery.Len(), in.Queries.Len())
	if c.XBM.Size > 0 {
		add("cross-batch memory", "%d embeddings, from step %d on", c.XBM.Size, c.XBM.StartIter)
	} else {
		add("cross-batch memory", "none")
	}
	add("batch", "%d classes × %d photos", c.Sampler.Classes, c.Sampler.Photos)
	optimizer := cmp.Or(c.Optimizer.Name, string(optim.Adam)) // older runs had no other
	add("optimizer", "%s, learning rate %g, %d steps", optimizer, c.Optimizer.LearningRate, c.Schedule.Steps)
	if t := stepTime(c, in.Steps, len(in.Classes)); t > 0 {
		add("duration of the steps", "%s", t)
	}
	add("engine", "%s", c.Backend)
	add("seed", "%d", c.Seed)
	if e == nil {
		return list
	}
	if old := e.Compatible; old != nil {
		add("compatible with", "%s, SHA-256 %s", old.Name, old.SHA256)
	}
	add("started", "%s", e.Started.Format("2006-01-02 15:04 MST"))
	add("machine", "%s, %d CPUs", e.Platform, e.CPUs)
	add("version", "xbm-train %s, %s", e.Version, e.Go)
	if e.Commit != "" {
		add("commit", "%s", e.Commit)
	}
	return list
}

func networkText(c *Config, net *nn.Network) string {
	text := c.Network.Name
	if c.Network.Name == "mobilenetv2" {
		text += fmt.Sprintf(" %g", c.Network.Width)
	}
	text += fmt.Sprintf(", %d×%d pixels", net.Input.H, net.Input.W)
	if out, err := net.Output(); err == nil {
		text += fmt.Sprintf(", %d-d embedding", out.C)
	}
	if c.Network.Freeze != "" {
		text += ", frozen up to " + c.Network.Freeze
	}
	return text
}

// stepTime is how long the steps took, from their speed: without preparation and evaluation, and whatever pauses the
// run made.
func stepTime(c *Config, steps []report.Step, classes int) time.Duration {
	seconds, before := 0.0, 0
	for _, s := range steps {
		if s.ImagesPerSec > 0 {
			seconds += float64((s.Step-before)*min(c.Sampler.Classes, classes)*c.Sampler.Photos) / s.ImagesPerSec
		}
		before = s.Step
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Second)
}
