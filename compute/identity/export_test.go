package identity

// Remembered is how many sessions are in memory.
func (s *Service) Remembered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}
