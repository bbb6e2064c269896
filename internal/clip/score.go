package clip

// The labels of frames that show no known thing.
const (
	Unknown = "unknown"
	None    = "none"
)

// Counts is how many views (segments of a clip) were named rightly.
type Counts struct {
	Correct      int `json:"correct"`       // enrolled things under their own name
	Wrong        int `json:"wrong"`         // enrolled things under another name, as unknown or not at all
	Misnamed     int `json:"misnamed"`      // those of Wrong that got another's name
	UnknownRight int `json:"unknown_right"` // strangers called unknown
	UnknownWrong int `json:"unknown_wrong"` // strangers under a name, or not seen
	EmptyRight   int `json:"empty_right"`   // stretches of nothing in which nothing was seen
	EmptyWrong   int `json:"empty_wrong"`
}

// Score compares what was said of each frame with what the clip shows. A view's answer is the label of most of its
// frames; the first of two equally frequent ones. Identify turns a class into the label expected for it. Frames that
// were not looked at have the label "".
func Score(x *Index, labels []string, identify func(class string) string) Counts {
	var c Counts
	for _, s := range x.Segments {
		answer := majority(labels, s)
		switch s.Kind {
		case Enrolled:
			if answer == identify(s.Class) {
				c.Correct++
				continue
			}
			c.Wrong++
			if answer != Unknown && answer != None && answer != "" {
				c.Misnamed++
			}
		case Stranger:
			if answer == Unknown {
				c.UnknownRight++
			} else {
				c.UnknownWrong++
			}
		default:
			if answer == None || answer == "" {
				c.EmptyRight++
			} else {
				c.EmptyWrong++
			}
		}
	}
	return c
}

func majority(labels []string, s Segment) string {
	votes := map[string]int{}
	best := ""
	for i := s.First; i <= s.Last && i < len(labels); i++ {
		votes[labels[i]]++
		if votes[labels[i]] > votes[best] {
			best = labels[i]
		}
	}
	return best
}

// LongestWrong returns for how many frames in a row, at most, what was told of what is in view was a name that is not its
// own. told is "" or None for nothing, and Unknown is no name.
func LongestWrong(x *Index, told []string, identify func(class string) string) int {
	longest, run := 0, 0
	for _, s := range x.Segments {
		own := ""
		if s.Kind == Enrolled {
			own = identify(s.Class)
		}
		for i := s.First; i <= s.Last && i < len(told); i++ {
			switch told[i] {
			case own, "", None, Unknown:
				run = 0
			default:
				run++
			}
			longest = max(longest, run)
		}
	}
	return longest
}
