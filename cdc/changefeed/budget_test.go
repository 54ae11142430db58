package changefeed_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

func TestSharesAreEqualAndLeaveTheCommonHalf(t *testing.T) {
	b := changefeed.NewBudget(1 << 20)
	one := b.Join()
	if got := one.Limit(); got != 512<<10 {
		t.Errorf("alone: %d", got)
	}
	if !one.TryTake(500 << 10) {
		t.Error("within the limit: refused")
	}
	two := b.Join()
	if got := two.Limit(); got != 256<<10 {
		t.Errorf("one of two: %d", got)
	}
	if one.TryTake(1) || !two.TryTake(256<<10) || two.TryTake(1) {
		t.Error("a share goes up to its limit, whatever the other one has")
	}
	if taken, ok := b.TryAcquire(2 << 20); !ok || taken != 512<<10 {
		t.Errorf("of the common half: %d, %t", taken, ok)
	}
	if _, ok := b.TryAcquire(1); ok {
		t.Error("the common half was given twice")
	}
	if got := b.Used(); got != (500+256+512)<<10 || b.Total() != 1<<20 {
		t.Errorf("used %d", got)
	}
	one.Leave()
	one.Leave()
	if got := two.Limit(); got != 512<<10 {
		t.Errorf("after the other one left: %d", got)
	}
	two.Give(256 << 10)
	b.Release(512 << 10)
	two.Leave()
	if b.Used() != 0 {
		t.Errorf("used at the end: %d", b.Used())
	}
}

func TestEveryShareHasALittle(t *testing.T) {
	b := changefeed.NewBudget(64 << 10)
	for range 100 {
		if s := b.Join(); s.Limit() < changefeed.MinShare || !s.TryTake(changefeed.MinShare) {
			t.Fatalf("limit %d", s.Limit())
		}
	}
}

func TestTheCommonHalfIsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := changefeed.NewBudget(2000)
		first, err := b.Acquire(t.Context(), 600)
		if err != nil {
			t.Fatal(err)
		}
		order := make(chan int64, 2)
		for _, n := range []int64{5000, 100} { // the smaller one came later and waits, though it would fit
			go func() {
				taken, err := b.Acquire(t.Context(), n)
				if err != nil {
					t.Error(err)
				}
				order <- taken
				b.Release(taken)
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Acquire(ctx, 1); err == nil {
			t.Error("it overtook")
		}
		b.Release(first)
		if a, c := <-order, <-order; a != 1000 || c != 100 {
			t.Errorf("taken: %d, then %d", a, c)
		}
	})
}
