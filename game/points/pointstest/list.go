package pointstest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
)

// sweepAll sweeps until nothing is over.
func (b *bench) sweepAll(t *testing.T, limit int) (made []*game.Posting) {
	t.Helper()
	for {
		page, err := b.l.Sweep(t.Context(), limit)
		if err != nil {
			t.Fatalf("Sweep = %v", err)
		}
		if len(page) > limit {
			t.Fatalf("Sweep(%d) made %d postings", limit, len(page))
		}
		if len(page) == 0 {
			return made
		}
		made = append(made, page...)
		if len(made) > 10_000 {
			t.Fatal("Sweep makes postings without end")
		}
	}
}

func sweep(t *testing.T, b *bench) {
	b.must(t, game.Order{Op: game.OpGrant, UID: 1, Amount: 5, Kind: game.Paid, Expires: at(time.Hour)})
	b.must(t, game.Order{Op: game.OpGrant, UID: 1, Amount: 7, Expires: at(2 * time.Hour)})
	b.must(t, grant(1, 1))
	made := b.must(t, reserve(1, 1, time.Minute))
	b.must(t, grant(2, 9))
	if got := b.sweepAll(t, 10); len(got) != 0 {
		t.Errorf("Sweep made %d postings while nothing was over", len(got))
	}
	b.pass(time.Hour)
	b.has(t, 1, 8, 0, 0)
	got := b.sweepAll(t, 10)
	if len(got) != 1 || got[0].Op != game.OpExpire || got[0].UID != 1 || got[0].Balance != 8 || got[0].Tx == "" || len(got[0].Entries) == 0 {
		t.Fatalf("Sweep made %+v, want one posting of user 1", got)
	}
	kept, err := b.l.Posting(t.Context(), got[0].Tx)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the posting of Sweep", kept, got[0])
	b.stands(t, made, nil, game.HoldExpired)
	if sums := b.sums(t); sums.Classes[game.ExpiredPaid] != 5 || sums.Classes[game.UserPaid] != 0 || sums.Classes[game.HeldFree] != 0 || sums.Classes[game.UserFree] != 17 {
		t.Errorf("totals %+v", sums)
	}
	b.reopen(t)
	b.pass(time.Hour)
	if got := b.sweepAll(t, 10); len(got) != 1 || got[0].Balance != 1 {
		t.Errorf("Sweep made %+v", got)
	}
	b.has(t, 1, 1, 0, 0)
	b.has(t, 2, 9, 0, 0)
}

func sweepLimit(t *testing.T, b *bench) {
	const users = 7
	for uid := range game.UID(users) {
		b.must(t, game.Order{Op: game.OpGrant, UID: uid + 1, Amount: 1, Expires: at(time.Hour + time.Duration(uid))})
	}
	b.pass(2 * time.Hour)
	page, err := b.l.Sweep(t.Context(), 3)
	if err != nil || len(page) < 1 || len(page) > 3 {
		t.Fatalf("Sweep(3) made %d postings, %v", len(page), err)
	}
	page = append(page, b.sweepAll(t, 3)...)
	seen := map[game.UID]bool{}
	for _, p := range page {
		if seen[p.UID] {
			t.Errorf("user %v was swept twice", p.UID)
		}
		seen[p.UID] = true
	}
	if len(seen) != users {
		t.Errorf("%d users were swept, want %d", len(seen), users)
	}
}

func history(t *testing.T, b *bench) {
	var want []*game.Posting
	b.must(t, grant(2, 1000))
	for n := range game.Amount(25) {
		switch n % 3 {
		case 0:
			want = append(want, b.must(t, grant(1, n+10)))
		case 1:
			want = append(want, b.must(t, spend(1, 2)))
		case 2:
			want = append(want, b.must(t, game.Order{Op: game.OpTransfer, UID: 2, To: 1, Amount: n}))
		}
		b.must(t, grant(3, 1))
	}
	slices.Reverse(want)
	read := func() {
		t.Helper()
		for _, limit := range []int{1, 4, 25, 1000} {
			var got []*game.Posting
			before := uint64(0)
			for {
				page, err := b.l.History(t.Context(), 1, before, limit)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, page...)
				if len(page) == 0 {
					break
				}
				if len(page) > limit || len(got) > len(want) {
					t.Fatalf("a page of %d with limit %d, %d in all, want %d", len(page), limit, len(got), len(want))
				}
				before = page[len(page)-1].Seq
			}
			if len(got) != len(want) {
				t.Fatalf("pages of %d: %d postings, want %d", limit, len(got), len(want))
			}
			for i := range got {
				same(t, fmt.Sprintf("pages of %d: posting %d from the end", limit, i), got[i], want[i])
			}
		}
	}
	read()
	b.reopen(t)
	read()
}

// all reads every posting from behind a place.
func (b *bench) all(t *testing.T, after uint64, limit int) (list []*game.Posting) {
	t.Helper()
	for {
		page, err := b.l.Postings(t.Context(), after, limit)
		if err != nil {
			t.Fatalf("Postings = %v", err)
		}
		if len(page) == 0 {
			return list
		}
		if len(page) > limit {
			t.Fatalf("Postings gave %d with limit %d", len(page), limit)
		}
		list, after = append(list, page...), page[len(page)-1].Seq
	}
}

func postings(t *testing.T, b *bench) {
	var want []*game.Posting
	for n := range game.UID(30) {
		want = append(want, b.must(t, grant(n%5+1, 3)))
		b.wants(t, game.Insufficient, spend(n%5+1, 1000))
		b.pass(time.Second)
	}
	for range 2 {
		for _, limit := range []int{1, 7, 1000} {
			got := b.all(t, 0, limit)
			if len(got) != len(want) {
				t.Fatalf("pages of %d: %d postings, want %d", limit, len(got), len(want))
			}
			for i := range got {
				same(t, fmt.Sprintf("pages of %d: posting %d", limit, i), got[i], want[i])
				if i > 0 && (got[i].Seq <= got[i-1].Seq || got[i].Time < got[i-1].Time) {
					t.Errorf("posting %d at %v comes behind %d at %v", got[i].Seq, got[i].Time, got[i-1].Seq, got[i-1].Time)
				}
			}
		}
		b.reopen(t)
	}
	if got := b.all(t, want[20].Seq, 4); len(got) != 9 {
		t.Errorf("%d postings behind the 21st, want 9", len(got))
	}
	if page, err := b.l.Postings(t.Context(), 1<<64-1, 4); err != nil || len(page) != 0 {
		t.Errorf("Postings behind the last possible place = %v, %v", page, err)
	}
}

// postingsWhile reads on from the last posting that was seen, while others are
// made: none may come to lie before what was read.
func postingsWhile(t *testing.T, b *bench) {
	const writers, each = 8, 50
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range game.UID(writers) {
		wg.Go(func() {
			for range each {
				if _, err := b.post(t, grant(w+1, 1)); err != nil {
					t.Errorf("grant: %v", err)
					return
				}
			}
		})
	}
	go func() { wg.Wait(); stop() }()
	var seen int
	after := uint64(0)
	for done := false; ; {
		page, err := b.l.Postings(t.Context(), after, 10)
		if err != nil {
			t.Fatal(err)
		}
		if seen += len(page); len(page) > 0 {
			after = page[len(page)-1].Seq
			continue
		}
		if done { // nothing behind the end, after all had been answered
			break
		}
		done = ctx.Err() != nil
	}
	if seen != writers*each {
		t.Errorf("%d postings were seen by reading on, want %d", seen, writers*each)
	}
}

func accounts(t *testing.T, b *bench) {
	uids := []game.UID{5, 1, 9, 1 << 40, 3, game.UIDMax, 7}
	for _, uid := range uids {
		b.must(t, grant(uid, game.Amount(uid%100+1)))
	}
	slices.Sort(uids)
	for range 2 {
		for _, limit := range []int{1, 3, 1000} {
			var got []game.UID
			after := game.UID(0)
			for {
				page, err := b.l.Accounts(t.Context(), after, limit)
				if err != nil {
					t.Fatal(err)
				}
				if len(page) == 0 {
					break
				}
				for _, a := range page {
					if balance := a.Balance(b.l.Now()); balance != game.Amount(a.UID%100+1) {
						t.Errorf("user %v has %d", a.UID, balance)
					}
					got, after = append(got, a.UID), a.UID
				}
			}
			if !slices.Equal(got, uids) {
				t.Errorf("pages of %d: users %v, want %v", limit, got, uids)
			}
		}
		b.reopen(t)
	}
	if n := b.sums(t).Accounts; n != 0 && n != uint64(len(uids)) {
		t.Errorf("%d accounts are counted, want %d", n, len(uids))
	}
}

func totals(t *testing.T, b *bench) {
	if sums := b.sums(t); sums.Postings != 0 || sums.Last != 0 || sums.Classes != (game.Totals{}) {
		t.Errorf("totals of an empty ledger: %+v", sums)
	}
	b.must(t, grant(1, 100))
	b.must(t, game.Order{Op: game.OpGrant, UID: 1, Amount: 50, Kind: game.Paid, Expires: at(time.Hour)})
	b.must(t, spend(1, 120))
	b.must(t, reserve(1, 10, time.Hour/2))
	b.must(t, game.Order{Op: game.OpTransfer, UID: 1, To: 2, Amount: 5})
	last := b.must(t, game.Order{Op: game.OpRevoke, UID: 2, Amount: 8})
	want := game.Totals{game.UserPaid: 15, game.HeldPaid: 10, game.UserDebt: -3, game.IssuedFree: -100, game.IssuedPaid: -50, game.SpentFree: 100, game.SpentPaid: 20, game.Revoked: 8}
	for range 2 {
		if sums := b.sums(t); sums.Classes != want || sums.Postings != 6 || sums.Last != last.Seq || sums.Classes.UnspentPaid() != 25 {
			t.Errorf("totals %+v, want %v of 6 postings", sums, want)
		}
		b.reopen(t)
	}
	b.pass(2 * time.Hour)
	b.sweepAll(t, 10)
	want[game.UserPaid], want[game.HeldPaid], want[game.ExpiredPaid] = 0, 0, 25
	if sums := b.sums(t); sums.Classes != want {
		t.Errorf("totals %v after the sweep, want %v", sums.Classes, want)
	}
}

func totalsAt(t *testing.T, b *bench) {
	var last uint64
	for n := range game.Amount(10) {
		last = b.must(t, grant(1, n+1)).Seq
		b.must(t, grant(2, 1))
		b.pass(time.Minute)
	}
	_ = last
	b.reopen(t)
	for n := range game.Amount(10) {
		got, err := b.l.TotalsAt(t.Context(), at(time.Duration(n)*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		want := (n+1)*(n+2)/2 + n + 1
		if got.Classes[game.UserFree] != want || got.Classes[game.IssuedFree] != -want || got.Postings != uint64(2*n+2) {
			t.Errorf("after %d minutes: %+v, want %d", n, got, want)
		}
	}
	before, err := b.l.TotalsAt(t.Context(), at(-time.Second))
	if err != nil || before.Postings != 0 || before.Classes != (game.Totals{}) {
		t.Errorf("before the first posting: %+v, %v", before, err)
	}
}
