package engine

import (
	"github.com/gomlx/compute/distributed"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/core/tensors/dtensor"
	"github.com/gomlx/gomlx/ml/model"
)

// Exec runs a graph with the variables of a store, on all devices of an engine. It is not safe for concurrent use.
type Exec struct {
	exec  *model.Exec
	specs []*distributed.ShardingSpec // of each input; nil on one device
}

// NewExec makes an Exec of a function that builds a graph. On several devices, inputs of which spread is true are split
// along their first axis; the others, the outputs and all variables are the same everywhere. The graph stays as
// written for the whole batch, so that batch norms, losses and the memory see what every device makes.
func (e *Engine) NewExec(store *model.Store, build func(*model.Scope, []*node) []*node, spread ...bool) (*Exec, error) {
	x := &Exec{}
	var err error
	if x.exec, err = model.NewExec(e.Backend, store, build); err != nil || e.Devices == 1 {
		return x, err
	}
	const axis = "batch"
	mesh, err := distributed.NewDeviceMesh([]int{e.Devices}, []string{axis})
	if err != nil {
		return nil, err
	}
	split, err := distributed.BuildSpec(mesh).S(axis).Done()
	if err != nil {
		return nil, err
	}
	whole := distributed.NewReplicatedShardingSpec(mesh)
	for _, s := range spread {
		x.specs = append(x.specs, whole)
		if s {
			x.specs[len(x.specs)-1] = split
		}
	}
	x.exec.AutoSharding(mesh).WithInputShardingSpecs(x.specs...).WithOutputShardingSpecs(whole)
	return x, x.exec.SetDefaultShardingSpec(whole)
}

// Call runs the graph and returns its outputs, which are the caller's to finalize.
func (x *Exec) Call(inputs ...*tensors.Tensor) ([]*tensors.Tensor, error) {
	args := make([]any, len(inputs))
	for i, in := range inputs {
		args[i] = in
		if x.specs == nil {
			continue
		}
		shards, err := dtensor.ShardTensor(x.specs[i], in)
		if err != nil {
			return nil, err
		}
		args[i] = shards
	}
	outputs, err := x.exec.Call(args...)
	if err != nil || x.specs == nil {
		return outputs, err
	}
	n := len(outputs) / x.exec.NumDevices() // the same from each device: keep the first's
	for _, again := range outputs[n:] {
		again.MustFinalizeAll()
	}
	return outputs[:n], nil
}
