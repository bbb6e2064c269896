package outbox

// Stats is a reading of a Log. Counts are since Open.
type Stats struct {
	Degraded bool   // the disk takes nothing: events wait in memory
	Fault    string // why
	Resting  bool   // the day's budget is spent: the same

	Waiting     int
	Bytes       int64 // of the segments
	MemoryBytes int   // of events that are not on the disk yet
	Segments    int
	Next        uint64 // number of the next event
	Acked       uint64 // events up to here are confirmed

	Appended, Confirmed, Dropped uint64
	Damaged                      int // places in the log that were no records, or are none any more
	Torn                         int // writes that were cut short

	BytesWritten, PayloadBytes uint64 // to the disk, and of the events that came
	BytesToday                 int64  // since midnight (UTC) or Open
	Syncs, FolderSyncs         uint64
}

// Stats returns a reading.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{
		Degraded: l.fault != nil, Resting: l.resting, Waiting: l.waiting, Bytes: l.bytes(), MemoryBytes: l.held,
		Segments: len(l.segments), Next: l.next, Acked: l.acked,
		Appended: l.counts.appended, Confirmed: l.counts.confirmed, Dropped: l.counts.dropped,
		Damaged: l.counts.damaged, Torn: l.counts.torn,
		BytesWritten: l.counts.bytes, PayloadBytes: l.counts.payload, BytesToday: l.counts.today,
		Syncs: l.counts.syncs, FolderSyncs: l.counts.folderSyncs,
	}
	if l.fault != nil {
		s.Fault = l.fault.Error()
	}
	return s
}
