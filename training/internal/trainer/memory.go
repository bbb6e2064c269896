package trainer

import (
	"fmt"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"xbmedge/training/internal/engine"
	"xbmedge/training/internal/xbm"
)

// Names of the memory's variables.
const (
	memoryEmbeddings = memoryScope + "/embeddings" // [M, D]
	memoryLabels     = memoryScope + "/labels"     // [M]
	memoryHead       = memoryScope + "/head"       // the slot that is written next
	memoryFilled     = memoryScope + "/filled"     // slots that hold an embedding
)

func (l *learner) addMemory(dim int) {
	m := l.cfg.XBM.Size
	for name, value := range map[string]*tensors.Tensor{
		memoryEmbeddings: tensors.FromShape(shapes.Make(dtypes.Float32, m, dim)),
		memoryLabels:     tensors.FromShape(shapes.Make(dtypes.Int32, m)),
		memoryHead:       tensors.FromScalar(int32(0)),
		memoryFilled:     tensors.FromScalar(int32(0)),
	} {
		l.store.VariableWithValue(name, value).SetTrainable(false)
	}
}

// memoryLoss enqueues the batch, once start_iter steps are done, and compares it with the memory, itself included.
func (l *learner) memoryLoss(embeddings, labels, step *graph.Node) *graph.Node {
	g := embeddings.Graph()
	var vars [4]*model.Variable
	for i, name := range []string{memoryEmbeddings, memoryLabels, memoryHead, memoryFilled} {
		vars[i] = l.store.GetVariable(name)
	}
	before := xbm.Memory{Embeddings: vars[0].NodeValue(g), Labels: vars[1].NodeValue(g), Head: vars[2].NodeValue(g), Filled: vars[3].NodeValue(g)}
	started := graph.GreaterOrEqual(step, graph.Const(g, int32(l.cfg.XBM.StartIter)))
	after, slots := before.EnqueueIf(started, embeddings, labels)
	for i, value := range []*graph.Node{after.Embeddings, after.Labels, after.Head, after.Filled} {
		vars[i].SetNodeValue(value)
	}
	return l.pairs.Loss(embeddings, labels, after.Embeddings, after.Labels, after.Pairs(embeddings.Shape().Dimensions[0], slots))
}

// filled returns how many entries the memory holds.
func (l *learner) filled() int {
	v := l.store.GetVariable(memoryFilled)
	if v == nil {
		return 0
	}
	return int(tensors.ToScalar[int32](v.MustValue()))
}

// checkMemory refuses a memory and batches, of inputs of so many values, that the machine has no room for. What a GPU has is not known before it is asked.
func (c *Config) checkMemory(e *engine.Engine, values, dim int, old *references) error {
	free, known := e.FreeMemory()
	batch := int64(c.Sampler.batch())
	m := int64(c.XBM.Size)
	if old != nil {
		m += int64(old.Len())
	}
	need := 4 * (m*(2*int64(dim+1)+4*batch) + batch*(4*batch+int64(values))) // the memory twice, some numbers a pair, inputs
	if !known || need <= free {
		return nil
	}
	return fmt.Errorf("xbm.size is %d: the memory and its pairs with a batch of %d need about %.1f GB, and %.1f GB are free; lower xbm.size or sampler.classes",
		c.XBM.Size, batch, float64(need)/1e9, float64(free)/1e9)
}

// exhausted is a hint to add to an error of a device that has run out of memory.
func exhausted(err error) string {
	text := strings.ToLower(err.Error())
	if strings.Contains(text, "resource_exhausted") || strings.Contains(text, "out of memory") {
		return "; the device's memory is full: lower xbm.size, sampler.classes or network.size"
	}
	return ""
}
