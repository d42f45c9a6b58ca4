/* The two clocks, reading and committing: reader/stream.c. */
#include "stream_seen.h"

#define OVERFLOWED UINT64_MAX /* the key of an overflow record */

TestSuite(stream, .init = set_up, .fini = tear_down, .timeout = 60);

/* Reading and committing */

Test(stream, is_empty_at_first)
{
    cr_expect_eq(tn__stream_read(&stream), -EAGAIN);
    expect_end();
    cr_expect_eq(ahead(1, "f"), 0);
    cr_expect_eq(to_ahead(1), 0);
}

Test(stream, commits_in_order)
{
    push_numbered(0, 100);
    read_all();
    cr_expect_not(tn__stream_is_empty(&stream));
    expect_numbered(0, 100);
    expect_end();
}

Test(stream, gives_the_time_of_the_read)
{
    uint64_t ns[4];
    struct tn__raw raw;

    script.chunk = 2;
    push_numbered(0, 4);
    cr_expect_eq(read_all(), 2);
    for (unsigned i = 0; i < 4; i++)
        cr_assert(tn__stream_next(&stream, &raw, &ns[i]));
    cr_expect_eq(ns[0], ns[1]);
    cr_expect_lt(ns[1], ns[2]);
    cr_expect_eq(ns[2], ns[3]);
}

Test(stream, reads_ahead_over_many_blocks)
{
    push_numbered(0, 30000);
    cr_expect_gt(read_all(), 10);
    expect_numbered(0, 30000);
    expect_end();
}

/* A block is filled by as many reads as it notes the times of. */
Test(stream, many_small_reads)
{
    script.chunk = 1;
    push_numbered(0, 5000);
    cr_expect_eq(read_all(), 5000);
    expect_numbered(0, 5000);
    expect_end();
}

Test(stream, reading_and_committing_in_turns)
{
    unsigned committed = 0;

    push_numbered(0, 20000);
    script.chunk = 300;
    while (tn__stream_read(&stream) > 0) {
        expect_numbered(committed, committed + 100);
        committed += 100;
    }
    expect_numbered(committed, 20000);
    expect_end();
    push_numbered(20000, 20010);
    read_all();
    expect_numbered(20000, 20010);
    expect_end();
}

Test(stream, tells_that_the_source_has_ended)
{
    script.error = 0;
    push_numbered(0, 1);
    cr_expect_gt(tn__stream_read(&stream), 0);
    cr_expect_not(stream.ended);
    cr_expect_eq(tn__stream_read(&stream), 0);
    cr_expect(stream.ended);
    expect_numbered(0, 1);
}

Test(stream, gives_the_error_of_a_read)
{
    script.error = -EIO;
    cr_expect_eq(tn__stream_read(&stream), -EIO);
    cr_expect_not(stream.ended);
    script.error = -EAGAIN;
    push_numbered(0, 1);
    read_all();
    expect_numbered(0, 1);
}

/* The name that was committed stays as it was while others are read. */
static void expect_name_kept(unsigned before, unsigned after)
{
    char name[16];

    push_numbered(0, before);
    read_all();
    expect_numbered(0, before - 1);
    struct tn__raw raw = next();
    snprintf(name, sizeof(name), "%u", before - 1);
    push_numbered(before, before + after);
    read_all();
    cr_expect_eq(ahead(before % 7 + 1, raw.name), 0);
    cr_expect_str_eq(raw.name, name);
    expect_numbered(before, before + after);
}

Test(stream, name_is_kept_while_reading_ahead)
{
    expect_name_kept(1, 10000);
}

Test(stream, name_of_the_last_one_of_a_block_is_kept)
{
    for (unsigned before = 2040; before < 2050; before++) {
        expect_name_kept(before, 5000);
        expect_end();
    }
}

Test(stream, name_of_the_last_one_of_many_blocks_is_kept)
{
    expect_name_kept(3 * 2048, 3 * 2048);
}

/* Reading up to a marker */

Test(stream, read_to_reads_up_to_the_marker)
{
    script.chunk = 2;
    push_numbered(0, 5);
    push(77, IN_IGNORED, NULL);
    push_numbered(5, 6);
    cr_expect_eq(tn__stream_read_to(&stream, 77), 0);
    expect_numbered(0, 5);
    cr_expect_eq(next().key, 77);
    expect_end();
    read_all();
    expect_numbered(5, 6);
}

Test(stream, read_to_is_not_misled)
{
    push(78, IN_IGNORED, NULL);
    push(77, IN_OPEN, NULL);
    push(77, IN_CREATE, "f");
    cr_expect_eq(tn__stream_read_to(&stream, 77), -EOVERFLOW, "it was not there");
}

Test(stream, read_to_looks_at_what_it_reads)
{
    push(77, IN_IGNORED, NULL);
    read_all();
    push_numbered(0, 1);
    cr_expect_eq(tn__stream_read_to(&stream, 77), -EOVERFLOW);
}

Test(stream, read_to_ends_with_an_overflow)
{
    push_numbered(0, 3);
    push(OVERFLOWED, IN_Q_OVERFLOW, NULL);
    push(77, IN_IGNORED, NULL);
    cr_expect_eq(tn__stream_read_to(&stream, 77), -EOVERFLOW);
    expect_numbered(0, 3);
    cr_expect_eq(next().key, OVERFLOWED);
}

Test(stream, read_to_before_an_overflow)
{
    push(77, IN_IGNORED, NULL);
    push(OVERFLOWED, IN_Q_OVERFLOW, NULL);
    cr_expect_eq(tn__stream_read_to(&stream, 77), 0);
}

Test(stream, read_to_without_the_marker)
{
    cr_expect_eq(tn__stream_read_to(&stream, 77), -EOVERFLOW);
    script.error = -EIO;
    cr_expect_eq(tn__stream_read_to(&stream, 77), -EIO);
    script.error = 0;
    cr_expect_eq(tn__stream_read_to(&stream, 77), -EOVERFLOW);
    cr_expect(stream.ended);
}

/* What can't be decoded */

/* A header that promises a name which is not there. */
static void push_torn(void)
{
    const struct inotify_event head = {.wd = 1, .mask = IN_CREATE, .len = 64};

    script_add(&script, &head, sizeof(head));
}

Test(stream, malformed_bytes_end_their_block)
{
    push_numbered(0, 3);
    push_torn();
    read_all();
    cr_expect_eq(ahead(1, "0"), IN_CREATE);
    cr_expect_eq(ahead(3, "2"), IN_CREATE);
    expect_numbered(0, 3);
    struct tn__raw raw;
    uint64_t read_ns;
    cr_expect_not(tn__stream_next(&stream, &raw, &read_ns));
    expect_end();
    push_numbered(3, 6);
    read_all();
    cr_expect_eq(ahead(4, "3"), IN_CREATE);
    expect_numbered(3, 6);
    expect_end();
}

Test(stream, malformed_bytes_before_another_block)
{
    push_numbered(0, 2000);
    push_torn();
    read_all();
    script.chunk = 0;
    push_numbered(2000, 2000 + 2048 * 2);
    read_all();
    expect_numbered(0, 2000);
    /* What was read behind them into their block goes with them. */
    struct tn__raw raw = next();
    unsigned from = (unsigned)atoi(raw.name);
    cr_assert_geq(from, 2000);
    cr_assert_lt(from, 2000 + 2048);
    expect_numbered(from + 1, 2000 + 2048 * 2);
    expect_end();
}

Test(stream, malformed_bytes_alone)
{
    push_torn();
    cr_expect_eq(tn__stream_read_to(&stream, 77), -EOVERFLOW);
    cr_expect_eq(ahead(1, "f"), 0);
    cr_expect_eq(to_ahead(1), 0);
    expect_walk(0, 1, "");
    struct tn__raw raw;
    uint64_t read_ns;
    cr_expect_not(tn__stream_next(&stream, &raw, &read_ns));
    expect_end();
}

Test(stream, the_end_of_the_source_is_read_again)
{
    script.error = 0;
    cr_expect_eq(tn__stream_read(&stream), 0);
    cr_expect(stream.ended);
    script.error = -EAGAIN;
    cr_expect_eq(tn__stream_read(&stream), -EAGAIN);
    cr_expect(stream.ended, "for good");
}

/* The next record is the first of the block behind the one that was committed last. */
Test(stream, the_time_of_the_next_record)
{
    const unsigned block = 2048;

    cr_expect_eq(tn__stream_next_ns(&stream), 0);
    push_numbered(0, block + 1);
    cr_expect_eq(read_all(), 2);
    uint64_t first = tn__stream_next_ns(&stream);
    expect_numbered(0, block);
    cr_expect_gt(tn__stream_next_ns(&stream), first);
    expect_numbered(block, block + 1);
    cr_expect_eq(tn__stream_next_ns(&stream), 0);
}
