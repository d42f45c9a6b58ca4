/*
 * The life of a watch, src/registry/watch.c and src/processor/dispatch.c; the
 * numbers are those of the comments there.
 *
 * One watch of an order that spreads: a record in each of two lanes, whose
 * worker calls the processor, and the final record in a third. Two removers
 * race; whoever marks the watch first waits until it is quiet (synchronously),
 * the other one is told that it was removed. Nothing is called once the wait
 * is over, release is called once and last, nobody sleeps for ever.
 *
 * The state word is changed by read-modify-writes alone: atomic here.
 */
#define LANES 2
#define REMOVERS 2

/* the state word */
byte refs = LANES + 1, runs;
bool removed, muted, waiter, stalled, ended;

byte epoch;       /* of the park that removers sleep on */
bool resumed;     /* the final record's lane was submitted again */
bool final_left;  /* its worker has left the lane */
byte calls;       /* that run now */
byte winners, finals;
bool quiet, released;

inline leave()
{
    atomic { /* E3 */
        last = runs == 1 && waiter;
        runs--
    }
    if
    :: last -> epoch++
    :: else
    fi
}

inline call()
{
    atomic {
        assert(!quiet && !released);
        calls++
    }
    calls--
}

inline end_watch()
{
    atomic {
        assert(!ended);
        ended = true
    }
    atomic {
        assert(!released && calls == 0);
        released = true
    }
}

/* Drops one reference. */
inline drop()
{
    atomic { /* D1 */
        refs--;
        left = refs;
        was_stalled = stalled
    }
    if
    :: left == 0 -> end_watch()
    :: left == 1 && was_stalled ->
        stalled = false;
        atomic {
            assert(!resumed);
            resumed = true
        }
    :: else
    fi
}

active [LANES] proctype lane()
{
    bool last, was_stalled;
    byte left;

#ifdef BUG_LOAD_FIRST
    bool seen = removed;
    runs++;
    if
    :: !seen -> call()
    :: else
    fi;
#else
    bool seen;
    atomic { seen = removed; runs++ } /* E1 */
    if
    :: !seen -> call() /* E2 */
    :: else
    fi;
#endif
    leave();
    drop()
}

inline final_record()
{
    atomic { seen = removed; runs++ }
    if
    :: !seen -> call()
    :: else
    fi;
    leave();
    finals++;
    drop()
}

active proctype final_lane()
{
    bool last, was_stalled, seen;
    byte left;

    if
    :: refs == 1
    :: refs > 1 ->
#ifdef BUG_NO_RECHECK
        stalled = true;
        seen = false; /* the references may have gone in between */
        left = 2;
#else
        atomic { left = refs; stalled = true } /* S2 */
#endif
        if
        :: left == 1 -> stalled = false
        :: else -> resumed == true
        fi
    fi;
    final_record()
}

active [REMOVERS] proctype remover()
{
    bool mine;
    byte seen, now;

    atomic { /* R1 */
#ifdef BUG_TWO_WINNERS
        mine = true;
#else
        mine = !removed && !ended;
#endif
        removed = removed || mine
    }
    if
    :: mine ->
        atomic { winners++; assert(winners == 1) }
        do
        :: seen = epoch;
#ifdef BUG_LATE_WAITER
            now = runs; /* looks, and says that it waits only then */
            waiter = true;
#else
            atomic { now = runs; waiter = true } /* R2 */
#endif
            if
            :: now == 0 -> break
            :: else -> epoch != seen /* R3 */
            fi
        od;
        atomic {
            assert(calls == 0);
            quiet = true
        }
    :: else
    fi
}

active proctype at_rest()
{
    timeout;
    assert(released && finals == 1 && runs == 0);
    assert(winners == 0 || quiet)
}
