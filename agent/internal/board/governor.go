package board

// Limits say when a board has to rest.
type Limits struct {
	Temperature float64 // °C at which it begins to do less; 0: never for heat
	LeastShare  float64 // of the frames that are always looked at, 0 to 1
}

const (
	stepDown   = 0.75 // of the share, each step that it is too hot
	coolMargin = 5.0  // °C below the limit before it does more again
	calmSteps  = 12   // steps as cool as that, for each step up
)

// Governor decides what share of the frames to look at, so that a board cools down before its firmware slows it: a
// processor that the firmware slows makes every frame late, one that skips frames is in time for those it takes. It
// goes down fast and up slowly. It belongs to one goroutine.
type Governor struct {
	limits Limits
	share  float64
	calm   int
}

// NewGovernor returns a governor that lets everything through.
func NewGovernor(limits Limits) *Governor { return &Governor{limits: limits, share: 1} }

// Step takes a reading, made at regular times, and returns the share of frames to look at from now on. A temperature
// that is not known says nothing.
func (g *Governor) Step(celsius float64, known bool, t Throttling) (share float64) {
	watched := known && g.limits.Temperature > 0
	switch {
	case watched && celsius >= g.limits.Temperature, t.Slowed, t.UnderVoltage:
		g.calm = 0
		g.share = max(g.share*stepDown, g.limits.LeastShare)
	case watched && celsius > g.limits.Temperature-coolMargin:
		g.calm = 0
	default:
		if g.calm++; g.calm >= calmSteps {
			g.calm = 0
			g.share = min(g.share/stepDown, 1)
		}
	}
	return g.share
}
