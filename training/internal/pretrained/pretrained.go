// Package pretrained knows where weights of the networks are published, and downloads them, checked, into the user's
// cache. It keeps no state; functions are safe for concurrent use, also by several processes.
package pretrained

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Weights are a file of weights that somebody has published.
type Weights struct {
	Name    string  // to ask for them by
	Network string  // what network.name they fit
	Licence string  // SPDX, of their maker's
	URL     string  // https
	SHA256  string  // hexadecimal, or the first digits of it; empty where the maker tells none
	MB      float64 // size as the maker tells it, in 2²⁰ bytes; 0 where it does not
	About   string
}

// File returns the name of the file.
func (w *Weights) File() string { return path.Base(w.URL) }

// The makers' licences.
const (
	bsd3    = "BSD-3-Clause"
	apache2 = "Apache-2.0"
)

// List returns all that are known. All were trained on ImageNet-1k. The digits in a file's name are torchvision's: the
// first of its SHA-256.
func List() []Weights {
	torchvision := func(name, file, network, digits string, mb float64, about string) Weights {
		return Weights{
			Name: "torchvision-" + name, Network: network, Licence: bsd3, SHA256: digits, MB: mb, About: about,
			URL: fmt.Sprintf("https://download.pytorch.org/models/%s-%s.pth", file, digits),
		}
	}
	list := []Weights{
		torchvision("mobilenet-v2", "mobilenet_v2", "mobilenetv2_torch", "b0353104", 13.555, "the paper's recipe"),
		torchvision("mobilenet-v2-longer", "mobilenet_v2", "mobilenetv2_torch", "7ebf99e0", 13.598, "a longer recipe"),
		torchvision("mobilenet-v3-small", "mobilenet_v3_small", "mobilenetv3_small", "047dcff4", 9.829, ""),
		torchvision("mobilenet-v3-large", "mobilenet_v3_large", "mobilenetv3_large", "8738ca79", 21.114, "the paper's recipe"),
		torchvision("mobilenet-v3-large-longer", "mobilenet_v3_large", "mobilenetv3_large", "5c1a4163", 21.107, "a longer recipe"),
		torchvision("resnet50", "resnet50", "resnet50", "0676ba61", 97.781, "the paper's recipe"),
		torchvision("resnet50-longer", "resnet50", "resnet50", "11ad3fa6", 97.79, "a longer recipe"),
	}
	const paddle = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/legendary_models/"
	return append(list,
		Weights{Name: "paddleclas-resnet50", Network: "resnet50", Licence: apache2, URL: paddle + "ResNet50_pretrained.pdparams"},
		Weights{Name: "paddleclas-resnet50-vd", Network: "resnet50_vd", Licence: apache2, URL: paddle + "ResNet50_vd_pretrained.pdparams"},
		Weights{
			Name: "paddleclas-resnet50-vd-ssld", Network: "resnet50_vd", Licence: apache2,
			URL: paddle + "ResNet50_vd_ssld_pretrained.pdparams", About: "distilled from a larger network",
		})
}

// Find returns the weights of that name, or an error that lists those there are.
func Find(name string) (Weights, error) {
	list := List()
	names := make([]string, len(list))
	for i, w := range list {
		if w.Name == name {
			return w, nil
		}
		names[i] = w.Name
	}
	return Weights{}, fmt.Errorf("no weights are called %q: take one of %s", name, strings.Join(names, ", "))
}

// Folder returns where downloaded weights are kept.
func Folder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the folder for weights: %w; name one with --folder", err)
	}
	return filepath.Join(cache, "xbmedge", "weights"), nil
}
