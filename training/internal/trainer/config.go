// Package trainer trains an embedding network with cross-batch memory: it prepares inputs, runs the steps, measures
// retrieval on photos held back, and keeps the run folder.
package trainer

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"xbmedge/internal/nn"
	"xbmedge/training/internal/backbone"
	"xbmedge/training/internal/engine"
	"xbmedge/training/internal/optim"
)

// Config is everything that decides a run; with the same data and the go backend the same Config gives the same weights.
type Config struct {
	Seed       uint64           `yaml:"seed" json:"seed"`
	Backend    string           `yaml:"backend" json:"backend"`     // go, xla:cpu, xla:cuda, or several devices: xla:cuda×4
	Precision  string           `yaml:"precision" json:"precision"` // float32, or mixed: products in bfloat16, on XLA
	Workers    int              `yaml:"workers" json:"workers"`     // goroutines that decode and augment; 0: one a core
	Network    NetworkConfig    `yaml:"network" json:"network"`
	Data       DataConfig       `yaml:"data" json:"data"`
	Sampler    SamplerConfig    `yaml:"sampler" json:"sampler"`
	Loss       LossConfig       `yaml:"loss" json:"loss"`
	Teacher    TeacherConfig    `yaml:"teacher" json:"teacher"`
	Compatible CompatibleConfig `yaml:"compatible" json:"compatible"`
	XBM        MemoryConfig     `yaml:"xbm" json:"xbm"`
	Optimizer  OptimizerConfig  `yaml:"optimizer" json:"optimizer"`
	Schedule   ScheduleConfig   `yaml:"schedule" json:"schedule"`
}

// In what numbers the network is computed.
const (
	precisionFull  = "float32"
	precisionMixed = "mixed"
)

// NetworkConfig chooses the backbone and what of it is trained.
type NetworkConfig struct {
	Name     string  `yaml:"name" json:"name"`         // one of nn.Backbones
	Width    float64 `yaml:"width" json:"width"`       // channel multiplier of what has one
	Channels []int   `yaml:"channels" json:"channels"` // smallcnn: one 3×3 convolution each
	Size     int     `yaml:"size" json:"size"`         // input height and width, pixels
	// DeploySize is the input of the network that is left for the board, 0 for Size. One somewhat larger than that trained
	// at recognises better, since things look larger in random crops (Touvron et al., Fixing the train-test resolution
	// discrepancy, NeurIPS 2019).
	DeploySize int    `yaml:"deploy_size" json:"deploy_size"`
	Embedding  int    `yaml:"embedding" json:"embedding"`   // values in an embedding; 0: the backbone's pooled features are it
	Pooling    string `yaml:"pooling" json:"pooling"`       // avg, max, gem or gem_fixed
	Head       string `yaml:"head" json:"head"`             // dense (after the pooling) or conv (1×1, before it) makes the embedding
	Neck       int    `yaml:"neck" json:"neck"`             // values of a dense layer with ReLU before the embedding; 0: none
	Weights    string `yaml:"weights" json:"weights"`       // file of the backbone's, none, teacher, or empty: those that come with the program, if they fit
	BatchNorm  string `yaml:"batch_norm" json:"batch_norm"` // of the backbone: trained, frozen (its statistics stay) or folded (none)
	// Freeze names the last layer of the frozen trunk, for example pool (only the head learns) or features.15.add.
	// Empty: everything is trained.
	Freeze string `yaml:"freeze" json:"freeze"`
	Trunk  string `yaml:"trunk" json:"trunk"` // in what numbers the frozen trunk is run: float or int8; empty, in older runs: float
	// Round trains what learns with the rounding of int8, from step RoundStart on.
	Round      bool `yaml:"round" json:"round"`
	RoundStart int  `yaml:"round_start" json:"round_start"`
	// Views is how many augmented views of each photo a frozen trunk and a teacher are run on; 0: the plain photo alone.
	Views int `yaml:"views" json:"views"`
}

// SamplerConfig shapes a batch: Classes × Photos.
type SamplerConfig struct {
	Classes int `yaml:"classes" json:"classes"`
	Photos  int `yaml:"photos" json:"photos"`
}

// largestBatch is more than any machine trains on at once.
const largestBatch = 1 << 16

func (c *SamplerConfig) batch() int { return c.Classes * c.Photos }

// shared refuses a batch that an engine's devices cannot take equal parts of.
func (c *SamplerConfig) shared(devices int) error {
	if devices < 2 || c.batch()%devices == 0 {
		return nil
	}
	return fmt.Errorf("sampler.classes %d × sampler.photos %d makes a batch of %d, which %d devices cannot share evenly: "+
		"take a multiple of %d, or fewer devices in backend", c.Classes, c.Photos, c.batch(), devices, devices)
}

// MemoryConfig is the cross-batch memory's.
type MemoryConfig struct {
	Size      int     `yaml:"size" json:"size"`             // entries; 0 trains without memory
	StartIter int     `yaml:"start_iter" json:"start_iter"` // steps before the memory is used
	Weight    float64 `yaml:"weight" json:"weight"`         // of the loss against the memory
}

// ScheduleConfig says how long a run takes.
type ScheduleConfig struct {
	Steps      int `yaml:"steps" json:"steps"`
	Evaluate   int `yaml:"evaluate" json:"evaluate"`       // steps between two evaluations
	Checkpoint int `yaml:"checkpoint" json:"checkpoint"`   // steps between two checkpoints
	KeepEpochs int `yaml:"keep_epochs" json:"keep_epochs"` // epochs between two checkpoints that are kept for good; 0: none
}

// DefaultConfig trains the last blocks of the backbone that comes with the program, for a few hundred photos, in a few
// minutes on two cores.
func DefaultConfig() Config {
	return Config{
		Seed: 1, Backend: "go", Precision: precisionFull,
		Network: NetworkConfig{
			Name: backbone.Name, Width: backbone.Width, Channels: []int{32, 64, 128, 256}, Size: 128, DeploySize: 160, Embedding: 128,
			Pooling: string(nn.AvgPooling), Head: headDense, BatchNorm: bnTrained, Freeze: "features.10.add", Trunk: trunkFloat, RoundStart: 100, Views: 6,
		},
		Data:       defaultData(),
		Sampler:    SamplerConfig{Classes: 16, Photos: 4},
		Loss:       defaultLoss(),
		XBM:        MemoryConfig{Size: 1024, StartIter: 50, Weight: 1},
		Teacher:    TeacherConfig{Network: "mobilenetv2", Width: 1, Size: 224, Match: matchFeatures, Weight: 1},
		Compatible: CompatibleConfig{Weight: 1},
		Optimizer: OptimizerConfig{
			Name: string(optim.Adam), LearningRate: 2e-3, Rates: RatesConfig{Trunk: 1, Tail: 1, Head: 1}, Momentum: 0.9,
			Warmup: 50, Decay: decayCosine, DecaySteps: []int{}, DecayFactor: 0.1,
			Plateau: PlateauConfig{Patience: 4, Threshold: 1e-3, Cooldown: 2, MinRate: 5e-6},
		},
		Schedule: ScheduleConfig{Steps: 600, Evaluate: 100, Checkpoint: 100},
	}
}

// ResolvePaths makes the paths of files absolute, so that a run can go on from anywhere.
func (c *Config) ResolvePaths() error {
	for _, path := range []*string{&c.Network.Weights, &c.Teacher.Run, &c.Teacher.Weights, &c.Compatible.Model, &c.Data.Cache} {
		if *path == "" || path == &c.Network.Weights && (*path == noWeights || *path == teacherWeights) || path == &c.Data.Cache && *path == CacheOff {
			continue
		}
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	return nil
}

// Validate returns all faults at once, each with its key.
func (c *Config) Validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	platform, devices, err := engine.Parse(c.Backend)
	if err != nil {
		faults = append(faults, fmt.Errorf("backend %w", err))
	}
	check(c.Precision == precisionFull || c.Precision == precisionMixed, "precision is %q: take float32 or mixed", c.Precision)
	check(c.Precision == precisionFull || c.Backend != "go", "precision is mixed, which backend go has not: take an xla one")
	check(c.Workers >= 0 && c.Workers <= 1024, "workers is %d: take 0, for one a processor, to 1024", c.Workers)
	n := &c.Network
	check(slices.Contains(nn.Backbones(), n.Name), "network.name is %q: take %s", n.Name, strings.Join(nn.Backbones(), ", "))
	check(slices.Contains([]nn.Pooling{nn.AvgPooling, nn.MaxPooling, nn.GeMPooling, nn.GeMFixed}, nn.Pooling(n.Pooling)),
		"network.pooling is %q: take avg, max, gem or gem_fixed", n.Pooling)
	check(n.Head == headDense || n.Head == headConv, "network.head is %q: take dense or conv", n.Head)
	check(n.Neck >= 0 && n.Neck <= 8192, "network.neck is %d: take 0 to 8192", n.Neck)
	check(n.Neck == 0 || n.Head == headDense, "network.neck needs network.head dense")
	check(n.Name != "smallcnn" || len(n.Channels) > 0, "network.channels is empty: give one number for each convolution")
	for _, ch := range n.Channels {
		check(ch > 0 && ch <= 4096, "network.channels holds %d: take 1 to 4096 for each", ch)
	}
	check(n.Width > 0 && n.Width <= 4, "network.width is %g: take 0.35 to 1.4", n.Width)
	check(n.Size >= 16 && n.Size <= 1024, "network.size is %d: take 16 to 1024 pixels", n.Size)
	check(n.DeploySize == 0 || n.DeploySize >= 16 && n.DeploySize <= 1024, "network.deploy_size is %d: take 16 to 1024 pixels, or 0 for network.size", n.DeploySize)
	check(n.DeploySize == 0 || n.Pooling != string(nn.MaxPooling), "network.deploy_size needs another network.pooling than max, whose window is as large as the map")
	check(n.Embedding >= 0 && n.Embedding <= 4096, "network.embedding is %d: take 0 to 4096", n.Embedding)
	check(n.Freeze == "" || !n.fromNothing(), "network.freeze is %q but the network starts from nothing: a trunk is frozen only with network.weights", n.Freeze)
	check(n.Trunk == trunkFloat || n.Trunk == trunkInt8 || n.Trunk == "", "network.trunk is %q: take float or int8", n.Trunk)
	check(n.Trunk != trunkInt8 || n.Freeze != "", "network.trunk is int8, but no trunk is frozen: set network.freeze to its last layer")
	check(n.RoundStart >= 0, "network.round_start is %d: must not be negative", n.RoundStart)
	check(n.BatchNorm == bnTrained || n.BatchNorm == bnFrozen || n.BatchNorm == bnFolded,
		"network.batch_norm is %q: take trained, frozen or folded", n.BatchNorm)
	check(n.Views >= 0 && n.Views < 1<<16, "network.views is %d: take 0 to some hundreds", n.Views)
	check(c.Sampler.Classes >= 2, "sampler.classes is %d: pairs of two classes need at least 2", c.Sampler.Classes)
	check(c.Sampler.Photos >= 2, "sampler.photos is %d: pairs of one class need at least 2", c.Sampler.Photos)
	faults = append(faults, c.Loss.validate()...)
	check(!c.Loss.semiHard() || platform != "xla:cpu" && platform != "xla:cuda",
		"loss.triplet.mining is semihard, which XLA cannot compute: take hard, or backend go")
	check(c.Loss.Name != lossProxyAnchor || c.XBM.Size == 0, "loss.name is proxy_anchor, which has no use for a memory: set xbm.size to 0")
	batch := c.Sampler.batch()
	check(c.Sampler.Classes <= largestBatch && c.Sampler.Photos <= largestBatch && batch <= largestBatch,
		"sampler.classes %d × sampler.photos %d: a batch has at most %d", c.Sampler.Classes, c.Sampler.Photos, largestBatch)
	if err := c.Sampler.shared(devices); err != nil {
		faults = append(faults, err)
	}
	check(c.XBM.Size == 0 || c.XBM.Size >= batch, "xbm.size is %d: take 0 (no memory) or at least a batch, %d", c.XBM.Size, batch)
	check(c.XBM.Size < 1<<24, "xbm.size is %d: too large", c.XBM.Size)
	check(c.XBM.Weight >= 0, "xbm.weight is %g: must not be negative", c.XBM.Weight)
	check(c.XBM.StartIter >= 0, "xbm.start_iter is %d: must not be negative", c.XBM.StartIter)
	faults = append(faults, c.Optimizer.validate()...)
	faults = append(faults, c.Teacher.validate()...)
	faults = append(faults, c.validateCompatible()...)
	check(n.Weights != teacherWeights || c.Teacher.on(), "network.weights is teacher, but there is none: give teacher.run or teacher.weights")
	check(!c.Teacher.on() || n.Views > 0, "network.views is 0: a teacher needs at least 1 view of each photo, and more are better")
	check(c.Loss.Weight > 0 || c.Teacher.on() || c.Compatible.on(), "loss.weight is 0 and there is no teacher: nothing would be learned")
	check(c.Schedule.Steps > 0 && c.Schedule.Steps < exactInt, "schedule.steps is %d: must be above 0", c.Schedule.Steps)
	check(c.Schedule.Evaluate > 0, "schedule.evaluate is %d: must be above 0", c.Schedule.Evaluate)
	check(c.Schedule.KeepEpochs >= 0, "schedule.keep_epochs is %d: must not be negative", c.Schedule.KeepEpochs)
	check(c.Schedule.Checkpoint > 0, "schedule.checkpoint is %d: must be above 0", c.Schedule.Checkpoint)
	return errors.Join(append(faults, c.Data.validate())...)
}
