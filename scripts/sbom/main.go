// Command sbom lists what a package consists of, for scripts/package.sh: as a CycloneDX bill of materials, and as one
// text with the licences of the Go modules inside. Modules come from the programs' own build information. The same
// input gives the same bytes; the time is SOURCE_DATE_EPOCH.
package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	name, version, arch string
	library             string
	libraryVersion      string
	depends             string
	out, licenses       string
	programs            []string
}

func run(args []string) error {
	var o options
	fs := flag.NewFlagSet("sbom", flag.ContinueOnError)
	fs.StringVar(&o.name, "name", "", "name of the package")
	fs.StringVar(&o.version, "version", "", "its version")
	fs.StringVar(&o.arch, "arch", "", "its architecture, as Debian calls it")
	fs.StringVar(&o.library, "library", "", "the TensorFlow Lite library in it")
	fs.StringVar(&o.libraryVersion, "library-version", "unknown", "its version")
	fs.StringVar(&o.depends, "depends", "", "the Debian packages it depends on, as in a control file")
	fs.StringVar(&o.out, "out", "", "the bill of materials to write")
	fs.StringVar(&o.licenses, "licenses", "", "the text of licences to write")
	if err := fs.Parse(args); err != nil {
		return err
	}
	o.programs = fs.Args()
	if o.name == "" || o.version == "" || o.arch == "" || o.out == "" || o.licenses == "" || len(o.programs) == 0 {
		return errors.New("--name, --version, --arch, --out, --licenses and the programs are needed")
	}
	modules, err := modules(o.programs)
	if err != nil {
		return err
	}
	if err := writeLicenses(o.licenses, modules); err != nil {
		return err
	}
	return writeBOM(&o, modules)
}

// modules returns the modules in the programs, without our own, and the Go release as module "stdlib".
func modules(programs []string) ([]debug.Module, error) {
	var all []debug.Module
	for _, program := range programs {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return nil, fmt.Errorf("read build information: %w", err)
		}
		all = append(all, debug.Module{Path: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go")})
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			all = append(all, debug.Module{Path: m.Path, Version: m.Version, Sum: m.Sum})
		}
	}
	slices.SortFunc(all, func(a, b debug.Module) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Version, b.Version))
	})
	return slices.Compact(all), nil
}

// writeBOM writes the bill of materials.
func writeBOM(o *options, modules []debug.Module) error {
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	bom := cdx.NewBOM()
	root := "pkg:deb/" + o.name + "@" + o.version + "?arch=" + o.arch
	bom.Metadata = &cdx.Metadata{
		Timestamp: time.Unix(epoch, 0).UTC().Format(time.RFC3339),
		Component: &cdx.Component{
			BOMRef: root, Type: cdx.ComponentTypeApplication, Name: o.name, Version: o.version, PackageURL: root,
			Licenses: licence("Apache-2.0"),
		},
	}
	var components []cdx.Component
	for _, m := range modules {
		ref := "pkg:golang/" + m.Path + "@" + m.Version
		component := cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: ref}
		if m.Sum != "" {
			component.Properties = &[]cdx.Property{{Name: "go:sum", Value: m.Sum}}
		}
		components = append(components, component)
	}
	if o.library != "" {
		data, err := os.ReadFile(o.library)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		components = append(components, cdx.Component{
			BOMRef: "tensorflow-lite", Type: cdx.ComponentTypeLibrary, Name: "TensorFlow Lite", Version: o.libraryVersion,
			Description: filepath.Base(o.library) + ", with XNNPACK inside", Licenses: licence("Apache-2.0"),
			Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
		})
	}
	for depend := range strings.SplitSeq(o.depends, ",") {
		name, bound, _ := strings.Cut(strings.TrimSpace(depend), " ")
		if name == "" {
			continue
		}
		ref := "pkg:deb/debian/" + name + "?arch=" + o.arch
		components = append(components, cdx.Component{
			BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: name, PackageURL: ref, Scope: cdx.ScopeRequired,
			Version: strings.Trim(bound, "()"), Description: "Debian package that this one depends on; not inside it",
		})
	}
	var refs []string
	for i := range components {
		refs = append(refs, components[i].BOMRef)
	}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: root, Dependencies: &refs}}

	content, err := encode(bom)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content) // a number that differs where the contents differ, and only there
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	bom.SerialNumber = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	if content, err = encode(bom); err != nil {
		return err
	}
	return os.WriteFile(o.out, content, 0o644) //nolint:gosec // made to be read by all
}

func encode(bom *cdx.BOM) ([]byte, error) {
	var out bytes.Buffer
	err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	return out.Bytes(), err
}

func licence(id string) *cdx.Licenses {
	return &cdx.Licenses{{License: &cdx.License{ID: id}}}
}

// licenceFile are the names of files that must go with a copy of a module.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.\-_].*)?$`)

// writeLicenses writes the licences of the modules into one text; a module without any is an error.
func writeLicenses(path string, modules []debug.Module) error {
	var out bytes.Buffer
	out.WriteString("The programs contain the Go modules below, each under its own licence.\n")
	for _, m := range modules {
		dir, err := moduleDir(&m)
		if err != nil {
			return err
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		found := false
		for _, entry := range entries {
			if entry.IsDir() || !licenceFile.MatchString(entry.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil {
				return err
			}
			found = true
			fmt.Fprintf(&out, "\n%s\n%s %s: %s\n\n%s\n", strings.Repeat("=", 78), m.Path, m.Version, entry.Name(),
				bytes.TrimSpace(bytes.ReplaceAll(text, []byte("\r"), nil)))
		}
		if !found {
			return fmt.Errorf("module %s has no licence in %s", m.Path, dir)
		}
	}
	return os.WriteFile(path, out.Bytes(), 0o644) //nolint:gosec // made to be read by all
}

// moduleDir returns the folder of a module's sources.
func moduleDir(m *debug.Module) (string, error) {
	args := []string{"list", "-m", "-f", "{{.Dir}}", m.Path}
	if m.Path == "stdlib" {
		args = []string{"env", "GOROOT"}
	}
	out, err := exec.Command("go", args...).Output() //nolint:gosec // a module of our own build
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
