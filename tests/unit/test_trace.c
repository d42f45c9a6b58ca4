/* What the library's own listing leaves in the stream: registry/trace.c. */
#include "registry/trace.h"

#include <criterion/criterion.h>
#include <string.h>

static struct tn__traces traces;
static const char adds[2]; /* whose addresses stand for adds */

static const struct tn__add *add_of(unsigned i)
{
    return (const void *)&adds[i];
}

static void tear_down(void)
{
    tn__trace_done(&traces);
    cr_expect_eq(traces.count, 0);
}

TestSuite(trace, .fini = tear_down, .timeout = 60);

static void note(uint64_t key, const char *name, const struct tn__add *add)
{
    tn__trace_note_locked(&traces, key, name, name ? strlen(name) : 0, false, add);
}

static bool take(uint64_t key, const char *name, uint32_t mask, uint64_t position)
{
    return tn__trace_take_locked(&traces, key, name, name ? strlen(name) : 0, mask | IN_ISDIR,
                                 position);
}

Test(trace, one_listing)
{
    note(7, "d", NULL);
    tn__trace_close_locked(&traces, 100);
    cr_expect(!take(7, NULL, IN_OPEN, 10), "of itself");
    cr_expect(!take(8, "d", IN_OPEN, 10), "in another directory");
    cr_expect(!take(7, "e", IN_OPEN, 10), "of another name");
    cr_expect(take(7, "d", IN_OPEN, 10));
    cr_expect(!take(7, "d", IN_OPEN, 20), "another's");
    cr_expect(take(7, "d", IN_ACCESS, 30));
    cr_expect(take(7, "d", IN_ACCESS, 40));
    cr_expect(take(7, "d", IN_CLOSE_NOWRITE, 50));
    cr_expect(!take(7, "d", IN_CLOSE_NOWRITE, 60), "another's");
    cr_expect(!take(7, "d", IN_ACCESS, 60));
    cr_expect_eq(traces.count, 0);
}

Test(trace, what_comes_behind_it_is_of_others)
{
    note(7, NULL, NULL);
    cr_expect(take(7, NULL, IN_ACCESS, UINT64_MAX), "it is not closed");
    tn__trace_close_locked(&traces, 100);
    cr_expect(take(7, NULL, IN_CLOSE_NOWRITE, 100));
    note(7, NULL, NULL);
    tn__trace_close_locked(&traces, 200);
    cr_expect(!take(7, NULL, IN_OPEN, 201));
    tn__trace_close_locked(&traces, 300);
    cr_expect(!take(7, NULL, IN_OPEN, 201), "it was closed before");
    tn__trace_forget_locked(&traces, NULL, 199);
    cr_expect_eq(traces.count, 1);
    tn__trace_forget_locked(&traces, NULL, 200);
    cr_expect_eq(traces.count, 0);
}

Test(trace, opened_before_it_could_be_told)
{
    tn__trace_note_locked(&traces, 7, NULL, 0, true, NULL);
    cr_expect(!take(7, NULL, IN_OPEN, 10), "another's");
    cr_expect(take(7, NULL, IN_CLOSE_NOWRITE, 20));
}

/* The reader lists between an add's note and its listing. */
Test(trace, the_one_that_ends_first)
{
    note(7, NULL, add_of(0));
    note(7, NULL, NULL);
    note(7, NULL, add_of(1));
    tn__trace_close_locked(&traces, 100);
    cr_expect(take(7, NULL, IN_OPEN, 10));
    cr_expect(take(7, NULL, IN_CLOSE_NOWRITE, 20));
    for (unsigned i = 0; i < 2; i++)
        cr_expect(take(7, NULL, IN_OPEN, 200 + i));
    cr_expect(!take(7, NULL, IN_OPEN, 210));
    tn__trace_forget_locked(&traces, NULL, UINT64_MAX);
    cr_expect_eq(traces.count, 2, "the adds' stay");
    tn__trace_forget_locked(&traces, add_of(0), 215);
    cr_expect_eq(traces.count, 1);
    cr_expect(take(7, NULL, IN_CLOSE_NOWRITE, 220));
    cr_expect(!take(7, NULL, IN_CLOSE_NOWRITE, 230));
}

/* The crawl's records are taken for the reader's, and the add ends before those come. */
Test(trace, the_readers_after_the_end_of_the_add)
{
    note(7, NULL, add_of(0));
    note(7, NULL, NULL);
    tn__trace_close_locked(&traces, 100);
    cr_expect(take(7, NULL, IN_OPEN, 10));
    cr_expect(take(7, NULL, IN_CLOSE_NOWRITE, 20));
    tn__trace_forget_locked(&traces, add_of(0), 30);
    cr_expect(!take(7, NULL, IN_OPEN, 101));
    cr_expect(take(7, NULL, IN_OPEN, 90));
    tn__trace_forget_locked(&traces, NULL, 99);
    cr_expect(take(7, NULL, IN_CLOSE_NOWRITE, 100));
    cr_expect_eq(traces.count, 0);
}

/* The reader begins while an add's listing is half committed. */
Test(trace, the_one_that_was_opened)
{
    note(7, NULL, add_of(0));
    cr_expect(take(7, NULL, IN_OPEN, 10));
    note(7, NULL, NULL);
    tn__trace_close_locked(&traces, 100);
    cr_expect(take(7, NULL, IN_ACCESS, 20));
    cr_expect(take(7, NULL, IN_CLOSE_NOWRITE, 30));
    cr_expect(take(7, NULL, IN_OPEN, 40));
    cr_expect(take(7, NULL, IN_ACCESS, 50));
    cr_expect(take(7, NULL, IN_CLOSE_NOWRITE, 60));
    cr_expect_eq(traces.count, 0);
}

/* The chains keep their order and their ends. */
Test(trace, many)
{
    enum { MANY = 4 * TN__TRACE_BUCKETS };

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MANY; i++)
            note(i, "d", add_of(i % 2));
        tn__trace_forget_locked(&traces, add_of(1), 0);
        for (unsigned i = 0; i < MANY; i++)
            cr_expect_eq(take(MANY - 1 - i, "d", IN_CLOSE_NOWRITE, 10), i % 2 == 1, "%u", i);
        cr_expect_eq(traces.count, 0);
    }
}
