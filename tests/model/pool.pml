/*
 * The pool of src/executor/pool.c: every task is run, as many at once as there
 * are workers, and a stop runs all that is queued. The numbers are those of the
 * comments in pool.c and park.c.
 *
 * Two submitters submit two tasks and one, and the first run to end submits its
 * task once more. A run that is the first of a pair ends only when a second one
 * has begun, or when the pool stops, so a worker that sleeps on a ready task is a
 * deadlock. Park and ring are taken as checked by their own models: a pop takes
 * the ring's oldest place if its push has been completed.
 */
#define SUBMITTERS 2
#define WORKERS 2
#define RUNS 4

byte capacity; /* of the ring */
bool chosen, may_spin, stops_early;
byte push_position, pop_position;
bool ready[RUNS]; /* by position */
byte inbox, backlog;
bool backlog_taken, spinning, stopping;
byte epoch;
bool asleep[WORKERS];
byte begun, submitted;
byte again; /* runs that submit their task once more */

/* P2 and the system call in one step; park.pml has them apart. */
inline wake()
{
    atomic {
        epoch++;
        if
        :: asleep[0] -> asleep[0] = false
        :: asleep[1] -> asleep[1] = false
        :: else
        fi
    }
}

inline publish()
{
    atomic {
        if
        :: push_position - pop_position < capacity -> place = push_position; push_position++
        :: else -> inbox++; place = RUNS
        fi
    }
    if
    :: place < RUNS -> ready[place] = true
    :: else
    fi;
    place = 0
}

inline submit()
{
#ifdef BUG_SPIN_LOAD_FIRST
    seen = spinning;
    publish();
#else
    publish();
    seen = spinning; /* O2 */
#endif
    if
    :: seen -> seen = 0
    :: else -> wake()
    fi
}

inline ring_pop()
{
    atomic {
        if
        :: pop_position < push_position && ready[pop_position] -> pop_position++; found = true
        :: else
        fi
    }
}

/* Two loads. */
inline overflow_look()
{
    some = backlog > 0;
    if
    :: !some -> some = inbox > 0
    :: else
    fi
}

inline overflow_pop()
{
    do
    :: overflow_look();
        if
        :: !some -> break
        :: else
        fi;
        atomic { some = !backlog_taken; backlog_taken = true }
        if
        :: !some -> break
        :: else
        fi;
        if
        :: backlog == 0 -> atomic { backlog = inbox; inbox = 0 }
        :: else
        fi;
        if
        :: backlog > 0 -> backlog--; found = true
        :: else
        fi;
#ifdef BUG_UNLOCK_LATE
        overflow_look(); /* the loads overtake a plain store of the unlock */
        backlog_taken = false;
#else
        backlog_taken = false;
        overflow_look(); /* O1 */
#endif
#ifndef BUG_NO_RETRY
        if
        :: found
        :: else -> goto retry
        fi;
#endif
#ifndef BUG_NO_WAKE_AFTER_UNLOCK
        if
        :: some -> wake()
        :: else
        fi;
#endif
        break;
retry:
        skip
    od;
    some = false
}

/* In either order, as the worker's turn says; that multiplies the states, so only in one case. */
inline next_task()
{
    if
    :: ring_pop();
        if
        :: !found -> overflow_pop()
        :: else
        fi
    :: stops_early ->
        overflow_pop();
        if
        :: !found -> ring_pop()
        :: else
        fi
    fi
}

inline spin()
{
    if
    :: may_spin ->
        atomic { some = !spinning; spinning = true }
        if
        :: some ->
            some = false;
            next_task();
            spinning = false /* O2 */
        :: else
        fi
    :: else
    fi
}

inline wait_task()
{
    spin();
    do
    :: found -> break
    :: else ->
        own_epoch = epoch; /* W1 */
#ifdef BUG_STOP_LATE
        next_task();
        stop = stopping;
#else
        stop = stopping;
        next_task(); /* W2 */
#endif
        if
        :: found || stop -> break
        :: else ->
            atomic { /* W3 */
                if
                :: epoch == own_epoch -> asleep[me] = true
                :: else
                fi
            }
            !asleep[me];
            next_task()
        fi
    od;
    own_epoch = 0
}

inline pass_on_wake()
{
    some = pop_position < push_position && ready[pop_position];
    if
    :: !some -> overflow_look()
    :: else
    fi;
#ifdef BUG_NO_PASS_ON
    some = false;
#endif
    if
    :: some -> wake() /* P3 */
    :: else
    fi;
    some = false
}

inline run_task()
{
    atomic { place = begun; begun++ }
    begun > place / 2 * 2 + 1 || stopping;
    place = 0;
    atomic {
        if
        :: again > 0 -> again--; resubmit = true
        :: else
        fi
    }
    if
    :: resubmit -> publish(); pass_on = true /* O3 */
    :: else
    fi;
    resubmit = false
}

active [WORKERS] proctype worker()
{
    byte me = _pid;
    byte place, own_epoch;
    bool found, some, stop, pass_on, resubmit;

    do
    :: next_task();
        if
        :: found
        :: else -> pass_on = true; wait_task()
        fi;
        if
        :: !found -> break
        :: else
        fi;
        found = false;
        if
        :: pass_on -> pass_on_wake()
        :: else
        fi;
        pass_on = false;
        run_task()
    od
}

active [SUBMITTERS] proctype submitter()
{
    byte place;
    bool seen;

    chosen;
    if
    :: stops_early
    :: else ->
        submit();
        if
        :: _pid == WORKERS -> submit()
        :: else
        fi
    fi;
    submitted++
}

/* The last unref: all submits from outside have returned. */
active proctype owner()
{
    atomic {
        if
        :: /* a stop that races with the runs; one of two tasks is in the overflow */
            stops_early = true;
            capacity = 1;
            push_position = 1;
            ready[0] = true;
            inbox = 1
        :: capacity = 2; may_spin = true
        :: capacity = 0 /* overflow alone */
        fi;
        chosen = true;
        again = 1 + stops_early
    }
    submitted == SUBMITTERS;
    if
    :: !stops_early -> begun == RUNS
    :: may_spin || stops_early
    fi;
    stopping = true;
    atomic { epoch++; asleep[0] = false; asleep[1] = false }
    timeout;
    assert(begun == RUNS)
}
