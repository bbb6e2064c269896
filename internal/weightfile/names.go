package weightfile

import (
	"fmt"
	"slices"
	"strings"

	"xbmedge/internal/nn"
)

// module is where others keep a layer: a convolution's tensors and its batch norm's begin with these. Norm is empty for
// a layer that never has one.
type module struct{ conv, norm string }

// normNames are the suffixes of a batch norm's tensors.
type normNames struct{ scale, offset, mean, variance string }

// convention is how somebody names the tensors of networks.
type convention struct {
	name       string
	norm       normNames
	epsilon    float64 // of their batch norms; 0: the layer's own
	normalized bool    // their networks pad symmetrically and take ImageNet's normalised pixels
	modules    map[string]module
}

// ownName is the name of this project's convention.
const ownName = "xbmedge"

// conventions returns those that have names for this network's layers. The names of timm's blocks depend on the depths
// of its stages, which the weights tell.
func conventions(net *nn.Network, w nn.Weights) []convention {
	torch := normNames{".weight", ".bias", ".running_mean", ".running_var"}
	paddle := normNames{".weight", ".bias", "._mean", "._variance"}
	own := convention{name: ownName, norm: normNames{".scale", ".offset", ".mean", ".variance"}, modules: map[string]module{}}
	for i := range net.Layers {
		name := net.Layers[i].Name
		own.modules[name] = module{name, name + ".bn"}
	}
	list := []convention{own}
	switch {
	case has(net, "features.last"):
		list = append(list, convention{"torchvision", torch, 1e-3, true, torchvisionV3(net)},
			convention{"timm", torch, 1e-5, true, timmMobileNet(net, w)})
	case has(net, "features.18"):
		list = append(list, convention{"torchvision", torch, 1e-5, true, torchvisionV2(net)},
			convention{"timm", torch, 1e-5, true, timmMobileNet(net, w)})
	case has(net, "stem.0"):
		list = append(list, convention{"torchvision and timm", torch, 1e-5, true, torchResNet(net)},
			convention{"PaddleClas", paddle, 1e-5, true, paddleResNet(net)})
	}
	return list
}

func has(net *nn.Network, layer string) bool {
	return slices.ContainsFunc(net.Layers, func(l nn.Layer) bool { return l.Name == layer })
}

// recognise returns the convention by which w has most of the network's weights, or nil where none has any.
func recognise(net *nn.Network, w nn.Weights) (*convention, map[string]module) {
	var best *convention
	most := 0
	for _, c := range conventions(net, w) {
		hits := 0
		for i := range net.Layers {
			l := &net.Layers[i]
			if m, ok := c.modules[l.Name]; ok && l.Weighted() && l.Name != nn.NormalizeLayer && w[m.conv+".weight"] != nil {
				hits++
			}
		}
		if hits > most {
			best, most = &c, hits
		}
	}
	if best == nil {
		return nil, nil
	}
	return best, best.modules
}

// parts calls use with every weighted layer of a block, features.N.part, and its position in it; layers outside blocks
// have part "".
func parts(net *nn.Network, use func(layer string, block int, part string, position int)) {
	last, position := -1, 0
	for i := range net.Layers {
		l := &net.Layers[i]
		if !l.Weighted() || l.Name == nn.NormalizeLayer {
			continue
		}
		rest, ok := strings.CutPrefix(l.Name, "features.")
		if !ok {
			use(l.Name, -1, "", 0)
			continue
		}
		number, part, _ := strings.Cut(rest, ".")
		block := -1
		if _, err := fmt.Sscanf(number, "%d", &block); err != nil {
			block = last + 1 // features.last
		}
		if block != last {
			last, position = block, 0
		}
		use(l.Name, block, part, position)
		if part != "se.reduce" { // it shares its place with se.expand
			position++
		}
	}
}

func torchvisionV2(net *nn.Network) map[string]module {
	m := map[string]module{}
	parts(net, func(layer string, block int, part string, position int) {
		conv := fmt.Sprintf("features.%d.conv.%d", block, position)
		switch part {
		case "":
			m[layer] = module{layer + ".0", layer + ".1"}
		case "project":
			m[layer] = module{conv, fmt.Sprintf("features.%d.conv.%d", block, position+1)}
		default:
			m[layer] = module{conv + ".0", conv + ".1"}
		}
	})
	return m
}

func torchvisionV3(net *nn.Network) map[string]module {
	m := map[string]module{}
	parts(net, func(layer string, block int, part string, position int) {
		at := fmt.Sprintf("features.%d.block.%d", block, position)
		switch {
		case layer == "head":
			m[layer] = module{conv: "classifier.0"}
		case block < 0: // a neck, an embedding
		case part == "":
			at = fmt.Sprintf("features.%d", block)
			m[layer] = module{at + ".0", at + ".1"}
		case part == "se.reduce":
			m[layer] = module{conv: at + ".fc1"}
		case part == "se.expand":
			m[layer] = module{conv: at + ".fc2"}
		default:
			m[layer] = module{at + ".0", at + ".1"}
		}
	})
	return m
}

// timmMobileNet is for versions 2 and 3: blocks are numbered by stage, and batch norms count on within a block.
func timmMobileNet(net *nn.Network, w nn.Weights) map[string]module {
	blocks := timmBlocks(w)
	m := map[string]module{}
	norms := 0
	expanded := false
	parts(net, func(layer string, block int, part string, position int) {
		if position == 0 {
			norms, expanded = 0, part == "expand"
		}
		at := ""
		if block > 0 && block <= len(blocks) {
			at = blocks[block-1]
		}
		conv := map[string]string{"expand": ".conv_pw", "depthwise": ".conv_dw", "project": ".conv_pwl"}[part]
		switch {
		case layer == "features.0":
			m[layer] = module{"conv_stem", "bn1"}
		case layer == "features.18":
			m[layer] = module{"conv_head", "bn2"}
		case layer == "head":
			m[layer] = module{conv: "conv_head"}
		case at == "":
		case layer == "features.last":
			m[layer] = module{at + ".conv", at + ".bn1"}
		case part == "se.reduce":
			m[layer] = module{conv: at + ".se.conv_reduce"}
		case part == "se.expand":
			m[layer] = module{conv: at + ".se.conv_expand"}
		default:
			if part == "project" && !expanded {
				conv = ".conv_pw"
			}
			norms++
			m[layer] = module{at + conv, fmt.Sprintf("%s.bn%d", at, norms)}
		}
	})
	return m
}

// timmBlocks returns the blocks that the weights have, blocks.STAGE.BLOCK, in their order.
func timmBlocks(w nn.Weights) []string {
	type place struct{ stage, block int }
	var places []place
	for name := range w {
		var p place
		if _, err := fmt.Sscanf(name, "blocks.%d.%d.", &p.stage, &p.block); err == nil {
			places = append(places, p)
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		if a.stage != b.stage {
			return a.stage - b.stage
		}
		return a.block - b.block
	})
	var names []string
	for _, p := range slices.Compact(places) {
		names = append(names, fmt.Sprintf("blocks.%d.%d", p.stage, p.block))
	}
	return names
}

func torchResNet(net *nn.Network) map[string]module {
	m := map[string]module{"stem.0": {"conv1", "bn1"}}
	downsample := [2]string{".downsample.0", ".downsample.1"}
	if has(net, "stem.1") { // timm's resnet50d
		m["stem.0"], m["stem.1"], m["stem.2"] = module{"conv1.0", "conv1.1"}, module{"conv1.3", "conv1.4"}, module{"conv1.6", "bn1"}
		downsample = [2]string{".downsample.1", ".downsample.2"}
	}
	bottlenecks(net, func(layer, block, part string, _ int) {
		if part == "downsample" {
			m[layer] = module{block + downsample[0], block + downsample[1]}
			return
		}
		m[layer] = module{layer, block + ".bn" + strings.TrimPrefix(part, "conv")}
	})
	return m
}

func paddleResNet(net *nn.Network) map[string]module {
	m := map[string]module{}
	for _, stem := range []string{"stem.0", "stem.1", "stem.2"} {
		m[stem] = module{stem + ".conv", stem + ".bn"}
	}
	theirs := map[string]string{"conv1": "conv0", "conv2": "conv1", "conv3": "conv2", "downsample": "short"}
	bottlenecks(net, func(layer, _, part string, index int) {
		at := fmt.Sprintf("blocks.%d.%s", index, theirs[part])
		m[layer] = module{at + ".conv", at + ".bn"}
	})
	return m
}

// bottlenecks calls use with every weighted layer of a ResNet's blocks, layerS.B.part; index counts the blocks.
func bottlenecks(net *nn.Network, use func(layer, block, part string, index int)) {
	index, last := -1, ""
	for i := range net.Layers {
		l := &net.Layers[i]
		dot := strings.LastIndexByte(l.Name, '.')
		if !l.Weighted() || !strings.HasPrefix(l.Name, "layer") || dot < 0 {
			continue
		}
		block := l.Name[:dot]
		if block != last {
			index, last = index+1, block
		}
		use(l.Name, block, l.Name[dot+1:], index)
	}
}
