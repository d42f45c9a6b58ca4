/*
 * The ring of src/queue/ring.c: nothing lost, nothing twice, in order. The
 * steps are those of the comment there.
 *
 * A full or empty answer is a block until something changed, so that a lost
 * item is a deadlock. Memory is sequentially consistent here; the stores of the
 * item and of the sequence the wrong way round are seeded as BUG_ITEM_LATE.
 */
#define CAPACITY 2
#define PRODUCERS 2
#define CONSUMERS 2
#define ITEMS 2
#define TOTAL (PRODUCERS * ITEMS)

byte sequence[CAPACITY] = { 0, 1 };
byte item[CAPACITY];
bool busy[CAPACITY]; /* an item is being written or read */
byte push_position, pop_position;
byte taken;
bool out[TOTAL + 1];

#define CELL (position % CAPACITY)

/* Ready or free as far as a consumer at position can see. */
#ifdef BUG_POP_UNCHECKED
#define POP_SEQUENCE (position + (push_position > position))
#else
#define POP_SEQUENCE sequence[CELL]
#endif

inline own()
{
    d_step { assert(!busy[CELL]); busy[CELL] = true }
}

inline disown()
{
    busy[CELL] = false
}

inline push(value)
{
    position = push_position;
    do
    :: seen = sequence[CELL]; /* A1 */
#ifdef BUG_PUSH_UNCHECKED
        seen = position;
#endif
        if
        :: seen < position -> /* full */
            sequence[CELL] != seen || push_position != position;
            position = push_position
        :: seen > position -> position = push_position
        :: seen == position ->
            atomic { /* A2 */
                if
                :: push_position == position -> push_position++; break
                :: else -> position = push_position
                fi
            }
        fi
    od;
#ifdef BUG_ITEM_LATE
    sequence[CELL] = position + 1;
    own();
    item[CELL] = value;
    disown()
#else
    own();
    item[CELL] = value; /* A3 */
    disown();
    sequence[CELL] = position + 1 /* A4 */
#endif
}

active [PRODUCERS] proctype producer()
{
    byte count, position, seen;

    do
    :: count < ITEMS ->
        count++;
        push(_pid * ITEMS + count)
    :: else -> break
    od
}

/* Leaves by goto when all is taken. */
inline pop(value)
{
    position = pop_position;
    do
    :: seen = POP_SEQUENCE; /* B1 */
        if
        :: seen < position + 1 -> /* nothing ready */
            POP_SEQUENCE != seen || pop_position != position || taken == TOTAL;
            if
            :: taken == TOTAL -> goto done
            :: else -> position = pop_position
            fi
        :: seen > position + 1 -> position = pop_position
        :: seen == position + 1 ->
            atomic { /* B2 */
                if
                :: pop_position == position -> pop_position++; break
                :: else -> position = pop_position
                fi
            }
        fi
    od;
    own();
    value = item[CELL]; /* B3 */
    disown();
    sequence[CELL] = position + CAPACITY /* B4 */
}

active [CONSUMERS] proctype consumer()
{
    byte position, seen, value;
    byte last[PRODUCERS];

    do
    :: pop(value);
        d_step {
            assert(value > 0 && !out[value]);
            out[value] = true;
            assert(value > last[(value - 1) / ITEMS]);
            last[(value - 1) / ITEMS] = value;
            value = 0;
            taken++
        }
    od;
done:
    assert(taken == TOTAL)
}
