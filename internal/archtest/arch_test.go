// Package archtest holds the rules of who may import whom. They keep each heavy dependency behind one package, the
// programs apart, and the agent small.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"xbmedge/internal/testdata"
)

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// list runs go list on the whole module with these build tags, so that the real files and the stubs are both seen.
func list(t *testing.T, tags string) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", "-tags="+tags, "./...")
	cmd.Dir = testdata.Root(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	packages := map[string]pkg{}
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages", len(packages))
	}
	return packages
}

// under reports whether a package is that path or lies below it.
func under(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// owners maps a dependency to the packages that alone may import it.
var owners = map[string][]string{
	"gocv.io/x/gocv":                      {"xbmedge/camera/opencv"},
	"github.com/tphakala/go-tflite":       {"xbmedge/internal/tflite"},
	"github.com/eclipse/paho.mqtt.golang": {"xbmedge/agent/internal/mqtt"},
	"github.com/spf13/viper":              {"xbmedge/internal/conf"},
	"github.com/spf13/cobra":              {"xbmedge/internal/cli"},
	"github.com/spf13/pflag":              {"xbmedge/internal/cli"},
	"github.com/gomlx":                    {"xbmedge/training"},
	"github.com/google/flatbuffers":       {"xbmedge/internal/tflitefile"},
	"github.com/mochi-mqtt/server":        {"xbmedge/scripts/demobroker", "xbmedge/agent/internal/mqtt"},
	"github.com/go-viper/mapstructure":    {"xbmedge/internal/conf"},
	"golang.org/x/sys":                    {"xbmedge/agent/internal/doctor", "xbmedge/agent/internal/capture", "xbmedge/camera"},
	"github.com/CycloneDX/cyclonedx-go":   {"xbmedge/scripts/sbom"},
	"aead.dev/minisign":                   {"xbmedge/internal/bundle"},
	"github.com/coreos/go-systemd":        {"xbmedge/agent/internal/systemd"},
	"github.com/prometheus":               {"xbmedge/agent/internal/metrics"},
	"golang.org/x/text":                   {"xbmedge/internal/gallery"},
	"github.com/gofrs/flock":              {"xbmedge/internal/gallery"},
	"github.com/nlpodyssey/gopickle":      {"xbmedge/internal/weightfile"},
	"google.golang.org/protobuf":          {"xbmedge/internal/onnxfile"},
	"gonum.org":                           {"xbmedge/training/internal/report"},
}

// shared are the dependencies of tests, which any package may use.
var shared = []string{"github.com/google/go-cmp", "go.uber.org/goleak", "github.com/santhosh-tekuri/jsonschema"}

var programs = []string{"xbmedge/agent", "xbmedge/convert", "xbmedge/training", "xbmedge/camera"}

// violations returns every import that breaks a rule, as "importer imports imported: rule".
func violations(packages map[string]pkg) []string {
	var found []string
	for _, p := range packages {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			broken := func(rule string) { found = append(found, p.ImportPath+" imports "+imported+": "+rule) }
			for dependency, allowed := range owners {
				if under(imported, dependency) && !slices.ContainsFunc(allowed, func(o string) bool { return under(p.ImportPath, o) }) {
					broken("only " + strings.Join(allowed, " and ") + " may")
				}
			}
			for _, program := range programs {
				switch {
				case !under(imported, program) || under(p.ImportPath, program):
				case under(p.ImportPath, "xbmedge/internal"):
					broken("what is shared knows no program")
				case program == "xbmedge/camera":
					if !under(p.ImportPath, "xbmedge/agent") {
						broken("only the agent has cameras")
					}
				case slices.ContainsFunc(programs, func(o string) bool { return under(p.ImportPath, o) }):
					broken("programs hand each other files only")
				}
			}
		}
	}
	for _, rule := range []struct{ root, forbidden string }{
		{"xbmedge/agent", "github.com/gomlx"},             // the agent stays small
		{"xbmedge/agent", "github.com/mochi-mqtt/server"}, // a broker is for tests and the demo
		{"xbmedge/agent", "gocv.io/x/gocv"},               // 65 MB of libraries, and drivers that hang
		{"xbmedge/agent/internal/pipeline", "gocv.io/x/gocv"},
		{"xbmedge/agent/internal/pipeline", "github.com/tphakala/go-tflite"},
		{"xbmedge/agent/internal/pipeline", "github.com/eclipse/paho.mqtt.golang"},
		{"xbmedge/internal/nn", "github.com/gomlx"},
	} {
		for _, dep := range packages[rule.root].Deps {
			if under(dep, rule.forbidden) {
				found = append(found, rule.root+" depends on "+dep+": it must not, not even indirectly")
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestImportRules(t *testing.T) {
	for _, tags := range []string{"", "tflite,customenv,gocv_specific_modules,gocv_videoio", "xla"} {
		for _, v := range violations(list(t, tags)) {
			t.Errorf("tags %q: %s", tags, v)
		}
	}
}

// TestOwners holds that every direct dependency has an owner, in the table above and in the README's.
func TestOwners(t *testing.T) {
	root := testdata.Root(t)
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil || len(mod.Require) < 10 {
		t.Fatalf("go.mod has %d requirements, %v", len(mod.Require), err)
	}
	for _, r := range mod.Require {
		module := r.Path
		if r.Indirect {
			continue
		}
		owned := slices.ContainsFunc(slices.Concat(slices.Collect(maps.Keys(owners)), shared), func(o string) bool { return under(module, o) })
		if !owned {
			t.Errorf("%s has no owner", module)
		}
		name := regexp.MustCompile(`/v\d+$`).ReplaceAllString(module, "")
		short := name[strings.LastIndexByte(name, '/')+1:]
		if !bytes.Contains(readme, []byte(short)) {
			t.Errorf("README.md does not say what %s is for", name)
		}
	}
}

// TestRulesBite shows that each kind of rule is able to fail.
func TestRulesBite(t *testing.T) {
	for want, p := range map[string]pkg{
		"only xbmedge/camera/opencv may": {ImportPath: "xbmedge/agent/internal/capture", Imports: []string{"gocv.io/x/gocv"}},
		"files only":                     {ImportPath: "xbmedge/convert", Imports: []string{"xbmedge/training/internal/xbm"}},
		"what is shared knows no":        {ImportPath: "xbmedge/internal/nn", TestImports: []string{"xbmedge/agent/internal/mqtt"}},
		"only the agent has":             {ImportPath: "xbmedge/training", Imports: []string{"xbmedge/camera"}},
		"not even indirectly":            {ImportPath: "xbmedge/agent", Deps: []string{"github.com/gomlx/gomlx/core/graph"}},
		"only xbmedge/agent/internal/mq": {ImportPath: "xbmedge/agent/internal/pipeline", XTestImports: []string{"github.com/eclipse/paho.mqtt.golang"}},
	} {
		got := violations(map[string]pkg{p.ImportPath: p})
		if len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%+v: got %q, want one violation saying %q", p, got, want)
		}
	}
}
