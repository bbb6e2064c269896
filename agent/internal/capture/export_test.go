package capture

// PID is the capture process's.
func (s *Source) PID() int { return s.process.cmd.Process.Pid }
