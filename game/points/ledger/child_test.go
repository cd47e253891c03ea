package ledger

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/kamado/kamado/game"
)

// childDir asks this test binary to be a process with a ledger.
const childDir = "KAMADO_LEDGER_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Getenv("KAMADO_LEDGER_ROUND")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child posts from many callers, and prints each transaction id that was acknowledged, until it is killed.
func child(dir, round string) error {
	cfg := small()
	l, err := open(context.Background(), dir, cfg, Deps{})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for caller := range 16 {
		wg.Go(func() {
			for n := 0; ; n++ {
				uid := game.UID(caller%7 + 1)
				o := game.Order{Op: game.OpGrant, Tx: fmt.Sprintf("%s/%d/%d", round, caller, n), UID: uid, Amount: 3}
				if n%3 == 2 {
					o.Op, o.To = game.OpTransfer, uid+1
				}
				if a, err := l.Post(context.Background(), &o); err == nil {
					mu.Lock()
					fmt.Println(o.Tx, a.Posting.Seq)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// TestKill kills a process with a ledger, several times, and looks for what it acknowledged.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds := 3
	if long() {
		rounds = 40
	}
	dir := t.TempDir()
	acked := map[string]uint64{}
	for round := range rounds {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprint("KAMADO_LEDGER_ROUND=", round))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(out)
		for lines := 0; ; lines++ {
			line, err := in.ReadString('\n')
			if err != nil { // a line that was cut off does not count
				break
			}
			tx, seq, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			var n uint64
			if _, err := fmt.Sscan(seq, &n); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			acked[tx] = n
			if lines == 200+97*round {
				cmd.Process.Kill() //nolint:errcheck // it may have ended
			}
		}
		cmd.Wait() //nolint:errcheck // it was killed
		l, err := open(t.Context(), dir, small(), Deps{})
		if err != nil {
			t.Fatalf("round %d: Open = %v", round, err)
		}
		for tx, seq := range acked {
			if p, err := l.Posting(t.Context(), tx); err != nil || p.Seq != seq {
				t.Fatalf("round %d: %q was acknowledged as posting %d, and is %+v, %v", round, tx, seq, p, err)
			}
		}
		kept, err := l.Totals(t.Context())
		added, err2 := l.TotalsAt(t.Context(), l.Now())
		if err != nil || err2 != nil || kept.Classes != added.Classes || kept.Classes.Sum() != 0 || kept.Postings < uint64(len(acked)) {
			t.Errorf("round %d: %d acknowledged, totals %+v, %v, added up %+v, %v", round, len(acked), kept, err, added, err2)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d postings were acknowledged, and are there", len(acked))
}
