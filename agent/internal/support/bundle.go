// Package support gathers what somebody far away needs to understand an agent that does not work, into one file that
// holds no passwords, no pictures and nobody's name.
package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"xbmedge/agent/internal/doctor"
	"xbmedge/internal/atomicfile"
	"xbmedge/internal/redact"
)

// The bounds of a bundle, in bytes before it is compressed. What a part has beyond them is left out.
const (
	maxPart  = 1 << 20
	maxTotal = 8<<20 - 256<<10 // the rest is for README.txt, errors.txt and the archive's own
)

// Source is what a bundle is made of.
type Source struct {
	Root     string   // of the machine's files, "/" but in tests
	Config   string   // path of the configuration on it, "" for none
	Set      []string // settings over it
	Environ  []string // as os.Environ
	Host     string   // name, where the configuration tells no node
	Version  any      // for version.json
	Findings []doctor.Finding
	Now      time.Time
	// Command runs a program of the system and returns what it prints, the last few megabytes where it is more.
	Command func(ctx context.Context, name string, args ...string) ([]byte, error)
	// Metrics asks the agent at an address such as "unix:/path" for its metrics.
	Metrics func(ctx context.Context, address string) ([]byte, error)
}

// Bundle is what was gathered, without secrets.
type Bundle struct {
	folder  string
	parts   []part
	total   int
	errors  []string
	secrets []string
	now     time.Time
}

type part struct {
	name string
	text []byte
}

// Gather reads everything. What cannot be had is noted in the bundle.
func Gather(ctx context.Context, src Source) *Bundle {
	b := &Bundle{now: src.Now}
	g := gatherer{Source: src, bundle: b}
	g.gather(ctx)
	return b
}

// Name is what the bundle's file is called where nobody names it.
func (b *Bundle) Name() string { return b.folder + ".tar.gz" }

// Missing returns what could not be had, a line each.
func (b *Bundle) Missing() []string { return b.errors }

// add puts a text into the bundle, without secrets. Of one that is too long the end is kept for a log, and otherwise the
// beginning. Secrets go before anything is cut: half a password is one, too.
func (b *Bundle) add(name, text string, keepEnd bool) {
	text = redact.Text(strings.ToValidUTF8(text, "\uFFFD"), b.secrets...)
	room := min(maxPart, maxTotal-b.total)
	if len(text) > room {
		b.miss(name, fmt.Errorf("cut from %d bytes to %d", len(text), room))
		if keepEnd {
			text = text[len(text)-room:]
			_, text, _ = strings.Cut(text, "\n") // from a whole line on
		} else {
			text = text[:room]
			text = text[:strings.LastIndexByte(text, '\n')+1]
		}
	}
	b.total += len(text)
	b.parts = append(b.parts, part{name, []byte(text)})
}

// miss notes what could not be had.
func (b *Bundle) miss(name string, err error) {
	const most = 400 // of an error's text
	line := redact.Text(name+": "+strings.Join(strings.Fields(err.Error()), " "), b.secrets...)
	b.errors = append(b.errors, strings.ToValidUTF8(line[:min(len(line), most)], ""))
}

// Write writes the bundle to a file that only its owner can read, whole or not at all.
func (b *Bundle) Write(file string) error {
	return atomicfile.Write(file, 0o600, b.write)
}

func (b *Bundle) write(w io.Writer) error {
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	var errors bytes.Buffer
	for _, line := range b.errors {
		fmt.Fprintln(&errors, line)
	}
	parts := append([]part{{"README.txt", []byte(readme)}, {"errors.txt", errors.Bytes()}}, b.parts...)
	for _, p := range parts {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: path.Join(b.folder, p.name), Mode: 0o600, Size: int64(len(p.text)), ModTime: b.now,
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(p.text); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return zipped.Close()
}

const readme = `What xbm-agent support-bundle found on one machine, for somebody who looks for a fault.

version.json         the program and the parts compiled in
doctor.txt, .json    what xbm-agent doctor says
configuration.txt    every key, with all that wins over the file
environment.txt      variables XBM_*, of who made this and of the running service
model.json           name, size and SHA-256 of the model
gallery.json         how many things are enrolled, and with which model
system/              release, kernel, processor, memory, mounts, cameras' devices, temperatures
service/             unit, state, the journal's last 2,000 lines
metrics.txt          of the running agent
errors.txt           what could not be had, and why

What was left out: passwords, wherever they were seen (xxxxx stands for them); the contents of password files,
certificates and keys; pictures, embeddings and the model itself; the names and ids of enrolled things, also in the
journal.

What is in it: names and addresses of this machine, its cameras and its broker, names of users and groups, and paths of
files. Look through it before you pass it on.
`
