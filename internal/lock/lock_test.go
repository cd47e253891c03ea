package lock_test

import (
	"context"
	"testing"

	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/lock/locktest"
)

func TestMemory(t *testing.T) {
	locktest.Run(t, func(*testing.T) locktest.Open {
		m := &locktest.Memory{}
		return func(context.Context) (lock.Place, error) { return m, nil }
	})
}
