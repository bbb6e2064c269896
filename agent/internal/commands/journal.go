package commands

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"xbmedge/internal/atomicfile"
)

// remembered is how many commands are known again.
const remembered = 128

// journal knows the latest commands again. One that changes something is written down before it is carried out, so that
// not even a restart in the middle has it done twice.
type journal struct {
	path    string // "" keeps nothing
	entries []entry
}

// entry is a command that was begun. Reply is nil until it has ended; what was in memory only is gone after a restart.
type entry struct {
	Req   string    `json:"req"`
	Op    string    `json:"op"`
	Sum   string    `json:"sum"` // of its payload
	Begun time.Time `json:"begun"`
	Reply *Reply    `json:"reply,omitempty"`
}

type journalFile struct {
	Version int     `json:"version"`
	Entries []entry `json:"entries"`
}

// openJournal reads what was written down. A file that cannot be read is an error and leaves an empty journal that can
// be used.
func openJournal(path string) (*journal, error) {
	j := &journal{path: path}
	if path == "" {
		return j, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	var f journalFile
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err == nil && f.Version != 1 {
		err = fmt.Errorf("version %d; want 1", f.Version)
	}
	if err != nil {
		return j, fmt.Errorf("read commands done before %q: %w", path, err)
	}
	j.entries = f.Entries
	return j, nil
}

// find returns the command of that req, nil for a new one.
func (j *journal) find(req string) *entry {
	for i := range j.entries {
		if j.entries[i].Req == req {
			return &j.entries[i]
		}
	}
	return nil
}

// begin remembers a command, and writes it down where it changes something. The error says that it is not written; it is
// remembered all the same.
func (j *journal) begin(e entry, changes bool) error {
	if len(j.entries) >= remembered {
		j.entries = slices.Delete(j.entries, 0, len(j.entries)-remembered+1)
	}
	j.entries = append(j.entries, e)
	if !changes || j.path == "" {
		return nil
	}
	if err := atomicfile.WriteJSON(j.path, 0o600, journalFile{1, j.entries}); err != nil {
		return fmt.Errorf("write commands done %q: %w", j.path, err)
	}
	return nil
}

// end notes what a command gave.
func (j *journal) end(req string, r Reply) {
	if e := j.find(req); e != nil {
		e.Reply = &r
	}
}

func sum(payload []byte) string {
	s := sha256.Sum256(payload)
	return hex.EncodeToString(s[:8])
}
