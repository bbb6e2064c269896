// Package report measures what quantising costs and shows it, as JSON and as an HTML page: how well embeddings of the
// float and the int8 model find photos of the same class, how far they lie apart, where thresholds move, which layers
// add the error, and what both models ask of the machine.
package report

// Report is everything there is to say about a conversion. The figures of int8 are absent when the model that was asked
// for is float32, the others when they were not measured.
type Report struct {
	Model         string   `json:"model"`
	Type          string   `json:"type"`        // of the model asked for: int8 or float32
	ModelBytes    int      `json:"model_bytes"` // its size
	FloatBytes    int      `json:"float_bytes"`
	Samples       int      `json:"samples"`               // calibration photos used
	Seconds       float64  `json:"seconds"`               // that converting took, without measuring
	CPUSeconds    float64  `json:"cpu_seconds,omitempty"` // of all processors until then, where that is known
	PeakRSS       int      `json:"peak_rss,omitempty"`    // bytes of memory at most until then, where that is known
	Method        string   `json:"method,omitempty"`
	Chosen        string   `json:"chosen,omitempty"`       // what the method auto took
	Trials        []Trial  `json:"trials,omitempty"`       // that it made, in their order
	FloatLayers   []string `json:"float_layers,omitempty"` // kept in float in the int8 model
	MaxRecallDrop float64  `json:"max_recall_drop"`
	Failure       string   `json:"failure,omitempty"` // why no model was written
	Warnings      []string `json:"warnings,omitempty"`
	Result
	Layers []Layer  `json:"layers,omitempty"` // in the network's order
	Float  *Profile `json:"float,omitempty"`
	Int8   *Profile `json:"int8,omitempty"`
}

// Layer says how well the int8 model follows the float one up to a layer, and what the layer costs.
type Layer struct {
	Name       string  `json:"name"`
	SQNR       float64 `json:"sqnr_db"` // signal to quantisation noise of its output, at most MaxSQNR
	Added      float64 `json:"added"`   // noise ÷ signal that its inputs do not have, as a ratio of root mean squares
	MACs       int64   `json:"macs"`
	Parameters int     `json:"parameters"`
	// Cost is one minus the mean cosine with this layer alone in int8; nil where it was not measured.
	Cost *float64 `json:"cost,omitempty"`
}

// Trial is one way to quantise that the method auto measured, on calibration photos.
type Trial struct {
	Name       string  `json:"name"`
	CosineMean float64 `json:"cosine_mean"`
	CosineP1   float64 `json:"cosine_p1"`
	Failure    string  `json:"failure,omitempty"` // why there are no figures
}

// MaxSQNR stands for no noise at all, in dB.
const MaxSQNR = 120

// Bound returns how much recall@1 int8 may lose: MaxRecallDrop, but not less than one query, which chance alone takes.
// With MaxRecallDrop 0 it is nothing.
func (r *Report) Bound() float64 {
	if r.MaxRecallDrop == 0 || r.Queries == 0 {
		return r.MaxRecallDrop
	}
	return max(r.MaxRecallDrop, 1/float64(r.Queries))
}

// OverBound returns how much recall@1 int8 loses and whether that is more than Bound.
func (r *Report) OverBound() (drop float64, over bool) {
	if r.RecallAt1Float == nil || r.RecallAt1Int8 == nil {
		return 0, false
	}
	drop = *r.RecallAt1Float - *r.RecallAt1Int8
	return drop, drop > r.Bound()+1e-9 // the recalls are quotients; equal is not over
}
