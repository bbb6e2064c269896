package bundle

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const block = 512 // bytes in which tar counts

// partName is what a part may be called: lower case, at most one folder deep, and nothing that begins with a dot.
var partName = regexp.MustCompile(`^([a-z0-9][a-z0-9._-]{0,40}/)?[a-z0-9][a-z0-9._-]{0,40}$`)

// pack writes files as a tar archive that depends on their names and bytes alone.
func pack(w io.Writer, files []file) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		header := &tar.Header{
			Name: f.name, Size: int64(len(f.data)), Mode: 0o644, Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
		}
		if err := t.WriteHeader(header); err != nil {
			return fmt.Errorf("pack %s: %w", f.name, err)
		}
		if _, err := t.Write(f.data); err != nil {
			return fmt.Errorf("pack %s: %w", f.name, err)
		}
	}
	return t.Close()
}

// unpack returns the files of an archive as parts of raw, without copying. Of the headers it reads names and sizes only;
// that the rest is as it should be it sees by packing the files again, which must give the same bytes.
func unpack(raw []byte) ([]file, error) {
	var files []file
	seen := map[string]bool{}
	for rest := raw; ; {
		if len(rest) < block {
			return nil, fmt.Errorf("it breaks off after %d bytes", len(raw))
		}
		header := rest[:block]
		if bytes.Count(header, []byte{0}) == block {
			break // the archive's end
		}
		if len(files) == maxParts {
			return nil, fmt.Errorf("more than %d parts", maxParts)
		}
		name, _, _ := strings.Cut(string(header[:100]), "\x00")
		if !partName.MatchString(name) || path.Clean(name) != name {
			return nil, fmt.Errorf("a part is called %q", name)
		}
		if seen[name] {
			return nil, fmt.Errorf("the part %s is there twice", name)
		}
		seen[name] = true
		size, err := strconv.ParseUint(string(header[124:135]), 8, 31)
		if err != nil || size > MaxBytes {
			return nil, fmt.Errorf("the size of %s cannot be read, or is more than a bundle may have", name)
		}
		rest = rest[block:]
		padded := (int(size) + block - 1) / block * block
		if padded > len(rest) {
			return nil, fmt.Errorf("%s has %d bytes, but only %d are left: it breaks off", name, size, len(rest))
		}
		files = append(files, file{name, rest[:size:size]})
		rest = rest[padded:]
	}
	same := comparer{want: raw}
	if err := pack(&same, files); err != nil {
		return nil, err
	}
	if len(same.want) > 0 {
		return nil, fmt.Errorf("%d bytes follow after its end", len(same.want))
	}
	return files, nil
}

var errDiffers = errors.New("it was changed, or packed by another program: only xbm-convert makes bundles")

// comparer takes what is written to it only when it is what it wants.
type comparer struct{ want []byte }

func (c *comparer) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(c.want, p) {
		return 0, errDiffers
	}
	c.want = c.want[len(p):]
	return len(p), nil
}
