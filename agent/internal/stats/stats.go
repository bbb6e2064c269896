// Package stats is what a running agent tells of its health, the same over MQTT and as Prometheus metrics.
package stats

// Schema names the shape of Stats in its JSON form.
const Schema = "stats/1"

// Stats is one reading. The tags are the one source of names: json for the message, and for the metrics the same with
// xbm_ before it; help describes a metric and counter marks those that only grow.
type Stats struct {
	Schema string  `json:"schema"`
	Node   string  `json:"node"`
	TS     float64 `json:"ts"` // Unix time, seconds

	Uptime       float64  `json:"uptime_s" help:"Seconds since the start."`
	FPS          float64  `json:"fps" help:"Frames looked at per second, all cameras, over the last 10 s."`
	EmbedP50     float64  `json:"infer_p50_ms" help:"Median time in the model of the latest frames, milliseconds; the slowest camera's."`
	EmbedP95     float64  `json:"infer_p95_ms" help:"95th percentile of the same."`
	RSS          uint64   `json:"rss_bytes" help:"Memory held, bytes."`
	Goroutines   int      `json:"goroutines" help:"Goroutines of the program."`
	OpenFiles    int      `json:"open_files" help:"Files, sockets and pipes that are open."`
	Temperature  *float64 `json:"temperature_c" help:"Hottest thermal zone, °C; absent where the board does not tell."`
	Throttled    bool     `json:"throttled" help:"1 while the firmware slows the processor, for heat or want of power."`
	UnderVoltage bool     `json:"under_voltage" help:"1 while the power supply is too weak."`
	Share        float64  `json:"share" help:"Share of the frames looked at: below 1 while the board is too hot."`
	// Degraded are the codes of error/1 that hold now, sorted: what is wrong while all else goes on.
	Degraded       []string `json:"degraded"`
	Connected      bool     `json:"connected" help:"1 while there is a connection to the broker."`
	Broker         string   `json:"broker"` // scheme://host:port of the connected one; else empty
	BrokerNumber   int      `json:"broker_number" help:"Which broker is connected: 1 for mqtt.broker, 2 for the first of mqtt.fallbacks and so on; 0 for none."`
	Reconnects     uint64   `json:"reconnects" help:"Connections to the broker after the first." counter:"yes"`
	Queue          int      `json:"queue" help:"Events that wait for the broker."`
	Dropped        uint64   `json:"dropped" help:"Events that the queue had no room for." counter:"yes"`
	OutboxBytes    int64    `json:"outbox_bytes" help:"What the outbox takes on the disk, bytes."`
	OutboxDegraded bool     `json:"outbox_degraded" help:"1 while events wait in memory because the disk takes nothing, or the day's budget is spent."`
	OutboxDamaged  int      `json:"outbox_damaged" help:"Places in the outbox that cannot be read; their events are lost."`
	OutboxWritten  uint64   `json:"outbox_written_bytes" help:"Bytes that the outbox wrote to the disk." counter:"yes"`
	OutboxToday    int64    `json:"outbox_today_bytes" help:"The same since midnight (UTC) or the start."`
	OutboxSyncs    uint64   `json:"outbox_syncs" help:"Times that the outbox made the disk keep what was written." counter:"yes"`
	DroppedSamples uint64   `json:"dropped_samples" help:"Messages at QoS 0 that were not sent." counter:"yes"`

	GalleryThings     int `json:"gallery_things" help:"Things in the gallery."`
	GalleryEmbeddings int `json:"gallery_embeddings" help:"Embeddings of them, one for each picture."`

	Cameras map[string]Camera `json:"cameras"`
}

// Camera is one camera's part of a reading; its metrics begin with xbm_camera_ and carry the label camera.
type Camera struct {
	Online   bool    `json:"online" help:"1 while the camera gives frames."`
	FPS      float64 `json:"fps" help:"Frames looked at per second, over the last 10 s."`
	Frames   uint64  `json:"frames" help:"Frames looked at." counter:"yes"`
	Skipped  uint64  `json:"skipped" help:"Frames passed over for a newer one, for the rate or for heat." counter:"yes"`
	Failed   uint64  `json:"failed" help:"Frames without a result." counter:"yes"`
	Events   uint64  `json:"events" help:"Events told." counter:"yes"`
	EmbedP50 float64 `json:"infer_p50_ms" help:"Median time in the model of the latest frames, milliseconds."`
	EmbedP95 float64 `json:"infer_p95_ms" help:"95th percentile of the same."`

	Still    uint64  `json:"still" help:"Frames looked at in which nothing had moved, and which the model did not see." counter:"yes"`
	Moving   uint64  `json:"moving" help:"Frames in which something moved; a skipped one moved if the next did." counter:"yes"`
	Covered  uint64  `json:"covered" help:"Of those, the ones the model saw." counter:"yes"`
	Coverage float64 `json:"coverage" help:"Covered over moving, since the start; 1 before anything moved."`
	Blurred  uint64  `json:"blurred" help:"Regions too blurred for the model." counter:"yes"`
	Small    uint64  `json:"small" help:"Regions too small for the model." counter:"yes"`
	Exposed  uint64  `json:"exposed" help:"Regions too dark or too bright for the model." counter:"yes"`
}
