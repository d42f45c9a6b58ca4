/*
 * A lane's state word: no event is lost, events stay in order, one worker at a
 * time runs the lane, an idle lane is drained, a freed one is recycled once. The
 * numbers are those of the comment in src/queue/lane.c.
 *
 * Plain stores go through a store buffer that drains at any time; a
 * read-modify-write drains its own thread's first. So the runs in which a load
 * overtakes a store are among these. Slabs are left out: an event is a number.
 */
#define EVENTS 6
#define STALL_AT 3 /* this event has to wait the first time */
#define WORKERS 2

#define SCHEDULED 1
#define DIRTY 2
#define RETIRED 4

byte state;
byte stored, committed; /* what the producer stored, and what others see of it */
byte head, delivered;
byte queued; /* the lane's task in the executor */
bool running, stalled, was_stalled;
bool all_published;
byte recycled;

inline submit()
{
    atomic { assert(queued == 0); queued++ }
}

/* The producer's store buffer. */
active proctype buffer()
{
end:
    do
    :: atomic { committed != stored -> committed = stored }
    od
}

#if defined(BUG_PLAIN_CLEAR) || defined(BUG_PLAIN_IDLE)
/* The workers' store buffers for the state word. */
bool waits[WORKERS];
byte value[WORKERS];

active proctype worker_buffers()
{
end:
    do
    :: atomic { waits[0] -> state = value[0]; waits[0] = false }
    :: atomic { waits[1] -> state = value[1]; waits[1] = false }
    od
}

inline store_state(new)
{
    atomic { waits[me] = true; value[me] = new }
}

/* Inside the atomic of a read-modify-write. */
inline drain_own()
{
    if
    :: waits[me] -> state = value[me]; waits[me] = false
    :: else
    fi
}
#else
inline drain_own()
{
    skip
}
#endif

inline publish()
{
    atomic {
        committed = stored;
        old = state;
        state = state | DIRTY | SCHEDULED /* L3 */
    }
    if
    :: !(old & SCHEDULED) -> submit() /* L4 */
    :: else
    fi
}

active proctype producer()
{
    byte old;

    do
    :: stored < EVENTS ->
        if /* one event a publication, or two: L1, L2 */
        :: stored++
        :: stored + 2 <= EVENTS -> stored = stored + 2
        fi;
#ifdef BUG_LOAD_FIRST
        if
        :: state == (DIRTY | SCHEDULED)
        :: else -> publish()
        fi
#else
        publish()
#endif
    :: atomic { !(state & SCHEDULED) -> /* R2 */
        assert(head == stored && !running) }
        if
        :: stored == EVENTS -> break
        :: else
        fi
    :: stored == EVENTS -> break
    od;
    all_published = true
}

active proctype resumer()
{
end:
    do
    :: stalled ->
        stalled = false;
        submit()
    od
}

/* tn__lanes_free of a lane that nothing is published to any more. */
active proctype freer()
{
    all_published;
#ifdef BUG_FREE_LOAD
    if
    :: state & SCHEDULED -> state = state | RETIRED
    :: else -> recycled++
    fi
#else
    atomic {
        if
        :: state & SCHEDULED -> state = state | RETIRED /* F1 */
        :: else -> recycled++                           /* F2 */
        fi
    }
#endif
}

inline clear_dirty()
{
#ifdef BUG_PLAIN_CLEAR
    store_state(SCHEDULED)
#else
    atomic { drain_own(); state = state & ~DIRTY }
#endif
}

inline deliver()
{
    next = head + 1;
    assert(next == delivered + 1);
    delivered = next;
    head = next;
    next = 0
}

#define MUST_WAIT (head + 1 == STALL_AT && !was_stalled)

active [WORKERS] proctype worker()
{
    byte limit, next;
    byte me = _pid % WORKERS;

end:
    do
    :: atomic { queued > 0 -> queued--; assert(!running); running = true }
again:
#ifndef BUG_CLEAR_LATE
        clear_dirty(); /* W1 */
#endif
        limit = committed; /* W2 */
        do                 /* W3, W4 */
        :: head < limit && !MUST_WAIT -> deliver()
        :: head < limit && !MUST_WAIT -> goto turn_over
        :: head < limit && MUST_WAIT ->
            was_stalled = true;
            atomic { running = false; stalled = true }
            goto next_task
        :: head == limit -> break
        od;
#ifdef BUG_CLEAR_LATE
        clear_dirty();
#endif
#ifdef BUG_PLAIN_IDLE
        atomic { running = false; store_state(0) }
        goto next_task;
#else
        atomic { /* W5 */
            drain_own();
            if
            :: state & DIRTY
            :: else ->
                recycled = recycled + (state & RETIRED) / RETIRED; /* F3 */
                state = 0;
                running = false;
                goto next_task
            fi
        }
        goto again;
#endif
turn_over: /* W6 */
        running = false;
        submit();
next_task:
        limit = 0
    od
}

active proctype at_rest()
{
    timeout;
    assert(delivered == EVENTS);
    assert(state == 0);
    assert(recycled == 1)
}
