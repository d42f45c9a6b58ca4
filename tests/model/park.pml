/*
 * The event count of src/queue/park.c: no lost wake-up. The numbers are those
 * of the comment there.
 *
 * Two producers publish, two workers take. At rest everything was taken, and
 * every run comes to rest. The word is changed by read-modify-writes alone, so
 * memory is sequentially consistent here; what a weaker one would do to a
 * producer that reads the waiters first is seeded as BUG_LOAD_FIRST.
 */
#define PRODUCERS 2
#define WORKERS 2
#define ITEMS 2
#define TOTAL (PRODUCERS * ITEMS)

byte published, taken;
byte epoch, waiters; /* one word */
bool asleep[WORKERS];

inline futex_wake()
{
    atomic {
        if
        :: asleep[0] -> asleep[0] = false
        :: asleep[1] -> asleep[1] = false
        :: else
        fi
    }
}

inline wake()
{
    atomic { epoch++; seen = waiters } /* P2 */
    if
    :: seen > 0 -> futex_wake()
    :: else
    fi
}

active [PRODUCERS] proctype producer()
{
    byte count, seen;

    do
    :: count < ITEMS ->
        count++;
#if defined(BUG_WAKE_FIRST)
        wake();
        published++
#elif defined(BUG_LOAD_FIRST)
        /* The load overtakes the store that is still in the store buffer. */
        seen = waiters;
        published++;
        if
        :: seen > 0 -> wake()
        :: else
        fi
#else
        published++; /* P1 */
        wake()
#endif
    :: else -> break
    od
}

inline look()
{
    d_step {
        found = published > taken;
        taken = taken + found
    }
}

active [WORKERS] proctype worker()
{
    byte seen;
    bool found;
    byte me = _pid - PRODUCERS;

    do
    :: look();
        if
        :: found
        :: else ->
            atomic { waiters++; seen = epoch } /* W1 */
#ifdef BUG_NO_RECHECK
            found = false;
#else
            look(); /* W2 */
#endif
            if
            :: found
            :: else ->
                atomic { /* W3: the kernel compares under its lock */
                    if
                    :: epoch == seen -> asleep[me] = true
                    :: else
                    fi
                }
end:
                !asleep[me]
            fi;
            waiters--
        fi
    od
}

active proctype at_rest()
{
    timeout;
    assert(taken == TOTAL);
    assert(waiters == WORKERS)
}

ltl comes_to_rest { <> (taken == TOTAL) }
