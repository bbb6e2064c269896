package nn

// NormalizeLayer is the name of the depthwise 1×1 layer, never trained, that turns x/127.5−1 into (x/255−mean)/deviation
// with the mean and deviation of ImageNet's pixels. As a layer of its own it is exact at the borders too, where the
// first convolution's padding stands for the mean.
const NormalizeLayer = "normalize"

// Constants returns the weights that are the same for every training of the network: those of a Normalize layer.
func (n *Network) Constants() Weights {
	w := Weights{}
	if len(n.Layers) == 0 || n.Layers[0].Name != NormalizeLayer {
		return w
	}
	mean, deviation := [3]float64{0.485, 0.456, 0.406}, [3]float64{0.229, 0.224, 0.225} // red, green, blue
	scale, shift := NewTensor(3, 1, 1, 1), NewTensor(3)
	for c := range 3 {
		scale.Data[c] = float32(0.5 / deviation[c])
		shift.Data[c] = float32((0.5 - mean[c]) / deviation[c])
	}
	w[NormalizeLayer+".weight"], w[NormalizeLayer+".bias"] = scale, shift
	return w
}
