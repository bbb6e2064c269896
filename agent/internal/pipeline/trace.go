package pipeline

import "slices"

// Trace says of one frame why it was told what was told.
type Trace struct {
	Seq     uint64        `json:"frame"`
	Seconds float64       `json:"ts"` // Unix time
	Moved   bool          `json:"moved"`
	Gate    string        `json:"gate,omitempty"` // why the frame was not looked at
	Regions []TraceRegion `json:"regions"`
	Tracks  []TraceTrack  `json:"tracks"` // after the frame
}

// TraceRegion is one region of the frame.
type TraceRegion struct {
	Box        Box          `json:"box"`
	Gate       string       `json:"gate,omitempty"` // that kept it from the model: blur, size or exposure
	Sharpness  float64      `json:"sharpness"`
	Brightness float64      `json:"brightness,omitempty"` // of what was refused
	Present    bool         `json:"present"`
	Known      bool         `json:"known"`
	Score      float32      `json:"score"`
	Margin     float32      `json:"margin"`
	Threshold  float32      `json:"threshold"`
	TopK       []TraceScore `json:"topk"`
	Track      int          `json:"track,omitempty"`      // that it was given to, 0 for none
	Similarity float32      `json:"similarity,omitempty"` // with that track's looks before
}

// TraceScore is a near identity, or a label with the weight of its votes.
type TraceScore struct {
	ID    string  `json:"id"`
	Score float32 `json:"score"`
}

// TraceTrack is one thing that is followed.
type TraceTrack struct {
	Track    int          `json:"track"`
	ToldAs   string       `json:"told_as"` // "" for nothing yet
	Identity string       `json:"identity"`
	Votes    []TraceScore `json:"votes"`
	Absent   int          `json:"absent"`  // frames since it was seen
	Missing  int          `json:"missing"` // frames since it was seen under what it is told as
	Why      string       `json:"why"`
}

// tracer collects what is to be traced; nil collects nothing.
type tracer struct {
	tell func(*Trace)
	now  Trace
}

func newTracer(tell func(*Trace)) *tracer {
	if tell == nil {
		return nil
	}
	return &tracer{tell: tell}
}

func (t *tracer) begin(f *Frame, moved bool) {
	if t == nil {
		return
	}
	t.now = Trace{Seq: f.Seq, Seconds: float64(f.Captured.UnixMicro()) / 1e6, Moved: moved, Regions: []TraceRegion{}, Tracks: []TraceTrack{}}
}

func (t *tracer) refused(box Box, gate string, sharpness, brightness float64) {
	if t == nil {
		return
	}
	t.now.Regions = append(t.now.Regions, TraceRegion{Box: box, Gate: gate, Sharpness: sharpness, Brightness: brightness, TopK: []TraceScore{}})
}

func (t *tracer) seen(s *sighting) {
	if t == nil {
		return
	}
	r := TraceRegion{
		Box: s.Box, Sharpness: s.sharpness, Present: s.present, Known: s.Known, Score: s.Score, Margin: s.Margin,
		Threshold: s.Threshold, TopK: []TraceScore{}, Similarity: s.similarity,
	}
	for _, c := range s.TopK {
		r.TopK = append(r.TopK, TraceScore{c.ID, c.Score})
	}
	if s.present && s.track != nil {
		r.Track = s.track.number
	}
	t.now.Regions = append(t.now.Regions, r)
}

func (t *tracer) end(gate string, from *tracker) {
	if t == nil {
		return
	}
	t.now.Gate = gate
	for _, tr := range from.tracks {
		out := TraceTrack{
			Track: tr.number, ToldAs: tr.label, Votes: []TraceScore{}, Absent: tr.absent, Missing: tr.missing, Why: tr.verdict,
		}
		if tr.label != "" {
			out.Identity = tr.best.Identity.ID
		}
		for i := range tr.votes {
			id := tr.votes[i].Identity.ID
			at := slices.IndexFunc(out.Votes, func(s TraceScore) bool { return s.ID == id })
			switch {
			case id == "":
			case at >= 0:
				out.Votes[at].Score += tr.votes[i].weight
			default:
				out.Votes = append(out.Votes, TraceScore{id, tr.votes[i].weight})
			}
		}
		t.now.Tracks = append(t.now.Tracks, out)
	}
	t.tell(&t.now)
}
