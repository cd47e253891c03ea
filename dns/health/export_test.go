package health

import (
	"context"

	"github.com/kamado/kamado/internal/program"
)

// SetExec makes hooks call f in place of running programs.
func (s *Service) SetExec(f func(context.Context, program.Command) (program.Result, error)) {
	s.hooks.exec = f
}

// Bounds that tests reach.
const (
	NotesMax     = notesMax
	JobsMax      = jobsMax
	NoteTries    = noteTries
	RefreshEvery = refreshEvery
	SeatsMax     = seatsMax
)
