/* What lies ahead of a stream: reader/stream.c. */
#include <time.h>

#include "stream_seen.h"

TestSuite(stream_ahead, .init = set_up, .fini = tear_down, .timeout = 60);

/* The first record ahead of a name */

Test(stream_ahead, name_ahead_first_record_wins)
{
    push(1, IN_DELETE, "f");
    push(1, IN_CREATE, "f");
    push(1, IN_MOVED_FROM, "f");
    read_all();
    cr_expect_eq(ahead(1, "f"), IN_DELETE);
    next();
    cr_expect_eq(ahead(1, "f"), IN_CREATE, "the first was committed");
    next();
    cr_expect_eq(ahead(1, "f"), IN_MOVED_FROM);
    next();
    cr_expect_eq(ahead(1, "f"), 0);
}

Test(stream_ahead, name_ahead_is_of_that_name_in_that_directory)
{
    push(1, IN_CREATE, "name");
    push(2, IN_DELETE, "nam");
    read_all();
    cr_expect_eq(ahead(2, "name"), 0);
    cr_expect_eq(ahead(1, "nam"), 0);
    cr_expect_eq(ahead(1, "names"), 0);
    cr_expect_eq(ahead(1, "Name"), 0);
    cr_expect_eq(ahead(1, "name"), IN_CREATE);
    cr_expect_eq(ahead(2, "nam"), IN_DELETE);
}

Test(stream_ahead, name_ahead_is_of_what_changes_names)
{
    const uint32_t others[] = {IN_OPEN,    IN_ACCESS,      IN_MODIFY,
                               IN_ATTRIB,  IN_CLOSE_WRITE, IN_CLOSE_NOWRITE,
                               IN_IGNORED, IN_MOVE_SELF,   IN_DELETE_SELF};
    const uint32_t changes[] = {IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO,
                                IN_CREATE | IN_ISDIR};

    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        push(1, others[i], "f");
    push(1, IN_CREATE, NULL);
    read_all();
    cr_expect_eq(ahead(1, "f"), 0);
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
        char name[2] = {(char)('a' + i)};
        push(1, changes[i], name);
    }
    read_all();
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
        char name[2] = {(char)('a' + i)};
        cr_expect_eq(ahead(1, name), changes[i]);
    }
}

Test(stream_ahead, name_ahead_knows_what_was_read_since)
{
    push(1, IN_OPEN, "f");
    read_all();
    cr_expect_eq(ahead(1, "f"), 0);
    push(1, IN_CREATE, "f");
    cr_expect_eq(ahead(1, "f"), 0, "not read yet");
    read_all();
    cr_expect_eq(ahead(1, "f"), IN_CREATE);
}

/* Everything is committed, and the first block is filled from its start again. */
Test(stream_ahead, name_ahead_after_all_was_committed)
{
    for (unsigned round = 0; round < 3; round++) {
        push(1, IN_CREATE, "f");
        push(1, IN_OPEN, "f");
        read_all();
        cr_expect_eq(ahead(1, "f"), IN_CREATE);
        next();
        cr_expect_eq(ahead(1, "f"), 0);
        next();
        expect_end();
        cr_expect_eq(ahead(1, "f"), 0);
        push(1, IN_DELETE, "g");
        read_all();
        cr_expect_eq(ahead(1, "f"), 0);
        cr_expect_eq(ahead(1, "g"), IN_DELETE);
        next();
        expect_end();
    }
}

/* The blocks up to where questions were answered have gone meanwhile. */
Test(stream_ahead, name_ahead_after_its_blocks_were_given_back)
{
    push(9, IN_CREATE, "f");
    push_numbered(0, 4 * 2048);
    read_all();
    cr_expect_eq(ahead(9, "f"), IN_CREATE);
    push_numbered(0, 4 * 2048);
    push(9, IN_DELETE, "f");
    read_all();
    for (unsigned i = 0; i < 7 * 2048; i++)
        next();
    cr_expect_eq(ahead(9, "f"), IN_DELETE);
    push_numbered(0, 4 * 2048);
    push(9, IN_CREATE, "g");
    read_all();
    cr_expect_eq(ahead(9, "f"), IN_DELETE);
    cr_expect_eq(ahead(9, "g"), IN_CREATE);
}

Test(stream_ahead, names_of_each_length_and_any_bytes)
{
    char name[256];

    for (size_t length = 1; length <= 255; length++) {
        memset(name, 0xff, length);
        name[length] = 0;
        push(length, IN_CREATE, name);
    }
    read_all();
    for (size_t length = 1; length <= 255; length++) {
        memset(name, 0xff, length);
        name[length] = 0;
        cr_expect_eq(ahead(length, name), IN_CREATE);
        cr_expect_eq(ahead(length + 1, name), 0);
        name[length - 1] = 1;
        cr_expect_eq(ahead(length, name), 0);
    }
}

/* CPU time, because others use the machine too. */
static double seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Asked before each is committed: what was committed must not be walked over again. */
Test(stream_ahead, many_changes_of_one_name_stay_cheap)
{
    enum { CHANGES = 100000 };
    double begin = seconds();

    for (unsigned i = 0; i < CHANGES; i++)
        push(1, i & 1 ? IN_DELETE : IN_CREATE, "lock");
    read_all();
    for (unsigned i = 0; i < CHANGES; i++) {
        cr_assert_eq(ahead(1, "lock"), i & 1 ? IN_DELETE : IN_CREATE);
        next();
    }
    cr_expect_lt(seconds() - begin, 2.0, "%.1f s", seconds() - begin);
}

/* Asked after each read: what was entered must not be entered again. */
Test(stream_ahead, many_reads_ahead_stay_cheap)
{
    enum { READS = 30000 };
    double begin = seconds();

    script.chunk = 1;
    push_numbered(0, READS);
    while (tn__stream_read(&stream) > 0)
        cr_assert_eq(ahead(1, "0"), IN_CREATE);
    cr_expect_lt(seconds() - begin, 2.0, "%.1f s", seconds() - begin);
}

/* A move's arrival */

Test(stream_ahead, to_ahead_is_where_the_cookie_went)
{
    script_push(&script, 1, IN_MOVED_FROM, 5, "a");
    script_push(&script, 2, IN_MOVED_TO, 6, "b");
    script_push(&script, 3, IN_MOVED_TO | IN_ISDIR, 5, "a");
    read_all();
    cr_expect_eq(to_ahead(5), 3);
    cr_expect_eq(to_ahead(6), 2);
    cr_expect_eq(to_ahead(7), 0);
    next();
    next();
    cr_expect_eq(to_ahead(6), 0, "it was committed");
    cr_expect_eq(to_ahead(5), 3);
    next();
    cr_expect_eq(to_ahead(5), 0);
}

/* Cookies wrap around; the records ahead are those that count. */
Test(stream_ahead, to_ahead_of_a_cookie_that_comes_again)
{
    for (uint64_t key = 1; key <= 3; key++)
        script_push(&script, key, IN_MOVED_TO, 5, "a");
    read_all();
    for (uint64_t key = 1; key <= 3; key++) {
        cr_expect_eq(to_ahead(5), key);
        next();
    }
}

/* Each record ahead of an object */

Test(stream_ahead, each_ahead)
{
    push(1, IN_CREATE, "a");
    push(2, IN_CREATE, "b");
    push(1, IN_OPEN, "c");
    push(1, IN_DELETE, "d");
    push(1, IN_DELETE_SELF, NULL);
    read_all();
    uint64_t position = stream.read;
    push(1, IN_MOVED_TO, "e");
    push(1, IN_MOVED_FROM, "f");
    read_all();
    expect_walk(0, 1, "adef");
    expect_walk(0, 2, "b");
    expect_walk(0, 3, "");
    expect_walk(position, 1, "ef");
    expect_walk(stream.read, 1, "");
    next();
    expect_walk(0, 1, "def");
    expect_walk(position, 1, "ef");
}

Test(stream_ahead, each_ahead_until_it_is_told_to_end)
{
    struct walked walked = {.stop_at = 2};

    push(1, IN_CREATE, "a");
    push(1, IN_CREATE, "b");
    push(1, IN_CREATE, "c");
    read_all();
    cr_expect_eq(tn__stream_each_ahead(&stream, 0, 1, walk, &walked), -ECANCELED);
    cr_expect_str_eq(walked.names, "ab");
}

Test(stream_ahead, each_ahead_over_blocks)
{
    push(9, IN_CREATE, "a");
    push_numbered(0, 5000);
    read_all();
    uint64_t position = stream.read;
    push(9, IN_CREATE, "b");
    push_numbered(0, 5000);
    push(9, IN_CREATE, "c");
    read_all();
    expect_walk(0, 9, "abc");
    expect_walk(position, 9, "bc");
    for (unsigned i = 0; i < 5001; i++)
        next();
    expect_walk(0, 9, "bc");
    for (unsigned i = 0; i < 2; i++)
        next();
    expect_walk(position, 9, "c");
}

/* Against the plainest model: an array, and a cursor in it. */

struct told {
    uint64_t key;
    uint32_t mask, cookie;
    unsigned name;
};

static uint64_t random_state = 0x746e6f74696679;

static unsigned random_below(unsigned limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % limit;
}

static void name_of(unsigned number, char *name)
{
    snprintf(name, 24, "name-%u", number);
}

static struct told make_record(void)
{
    static const uint32_t masks[] = {IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO, IN_OPEN};
    struct told made = {.key = random_below(3) + 1,
                        .mask = masks[random_below(5)],
                        .name = random_below(30)};
    char name[24];

    made.cookie = made.mask & (IN_MOVED_FROM | IN_MOVED_TO) ? random_below(40) + 1 : 0;
    name_of(made.name, name);
    script_push(&script, made.key, made.mask, made.cookie, name);
    return made;
}

static uint32_t model_ahead(const struct told *records, size_t from, size_t to, uint64_t key,
                            unsigned name)
{
    for (; from < to; from++)
        if (records[from].key == key && records[from].name == name && records[from].mask != IN_OPEN)
            return records[from].mask;
    return 0;
}

static uint64_t model_to(const struct told *records, size_t from, size_t to, uint32_t cookie)
{
    for (; from < to; from++)
        if (records[from].mask == IN_MOVED_TO && records[from].cookie == cookie)
            return records[from].key;
    return 0;
}

/* What ends an object, or changes names in it. */
Test(stream_ahead, a_record_of_a_key)
{
    const uint32_t about[] = {IN_CREATE,   IN_DELETE,      IN_MOVED_FROM,
                              IN_MOVED_TO, IN_DELETE_SELF, IN_IGNORED};

    push(2, IN_CREATE, "f");
    push(1, IN_MODIFY, "f");
    push(1, IN_MOVE_SELF, NULL);
    read_all();
    cr_expect_not(tn__stream_key_ahead(&stream, 1));
    for (size_t i = 0; i < sizeof(about) / sizeof(*about); i++) {
        push(3 + i, about[i], NULL);
        read_all();
        cr_expect(tn__stream_key_ahead(&stream, 3 + i), "%x", about[i]);
    }
    cr_expect_not(tn__stream_key_ahead(&stream, 1));
}

Test(stream_ahead, a_change_of_no_name_is_passed_over)
{
    push(1, IN_DELETE, NULL);
    push(1, IN_DELETE, "f");
    read_all();
    cr_expect_eq(ahead(1, "f"), IN_DELETE);
    expect_walk(0, 1, "f");
}

/* As in reader/stream.c. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

static bool make_text(uint64_t word, char text[9])
{
    memcpy(text, &word, 8);
    text[8] = '\0';
    for (unsigned i = 0; i < 8; i++)
        if (text[i] < '0' || text[i] > 'z')
            return false;
    return true;
}

/* Names whose hashes are equal are told apart, and so are directories. */
Test(stream_ahead, names_of_one_hash)
{
    char one[9] = "collides", two[9];
    uint64_t word, other = 1;

    memcpy(&word, one, 8);
    do
        other++;
    while (!make_text(word ^ mix(8, 1) ^ mix(8, other), two));
    push(other, IN_DELETE, two);
    read_all();
    cr_expect_eq(ahead(1, one), 0);
    cr_expect_eq(ahead(other, two), IN_DELETE);
    push(1, IN_CREATE, one);
    read_all();
    cr_expect_eq(ahead(1, one), IN_CREATE);
}

Test(stream_ahead, answers_as_a_plain_array_does)
{
    enum { RECORDS = 60000 };
    static struct told records[RECORDS];
    size_t committed = 0, read = 0;
    unsigned questions = 90; /* in a hundred steps; at times there are none for long */
    char name[24];

    for (size_t i = 0; i < RECORDS; i++)
        records[i] = make_record();
    while (committed < RECORDS) {
        unsigned what = random_below(100);
        if (random_below(100) == 0)
            questions = random_below(3) ? 90 : 0;
        if (what >= questions && what & 1 && read < RECORDS) {
            script.chunk = random_below(2) ? random_below(4) + 1 : random_below(3000) + 1;
            cr_assert_gt(tn__stream_read(&stream), 0);
            read = script.next;
        } else if (what >= questions) {
            size_t many = random_below(4) ? random_below(20) : random_below(4000);
            for (; many && committed < read; many--, committed++) {
                struct tn__raw raw = next();
                cr_assert_eq(raw.mask, records[committed].mask);
                cr_assert_eq(raw.key, records[committed].key);
            }
            if (committed == read)
                expect_end();
        } else if (what < 50) {
            uint64_t key = random_below(3) + 1;
            unsigned number = random_below(31);
            name_of(number, name);
            cr_assert_eq(ahead(key, name), model_ahead(records, committed, read, key, number));
        } else {
            uint32_t cookie = random_below(41) + 1;
            cr_assert_eq(to_ahead(cookie), model_to(records, committed, read, cookie));
        }
    }
}

/* The next change of a name in an object, and records that take effect before their turn */

static struct tn__change change_ahead(uint64_t key, uint64_t position, size_t limit)
{
    struct tn__change change = {.raw.mask = 0};

    if (!tn__stream_change_ahead(&stream, key, position, limit, &change))
        change.raw.mask = 0;
    return change;
}

Test(stream_ahead, change_ahead)
{
    push(1, IN_OPEN, "f");
    push(2, IN_CREATE, "f");
    push(1, IN_CREATE, NULL);
    push(1, IN_DELETE, "g");
    push(1, IN_CREATE, "h");
    read_all();
    struct tn__change change = change_ahead(1, 0, SIZE_MAX);
    cr_expect_eq(change.raw.mask, IN_DELETE);
    cr_expect_str_eq(change.raw.name, "g");
    cr_expect_eq(change_ahead(1, change.position, 1).raw.mask, IN_DELETE);
    cr_expect_eq(change_ahead(1, change.behind, SIZE_MAX).raw.mask, IN_CREATE);
    cr_expect_eq(change_ahead(1, 0, 3).raw.mask, 0, "it is the fourth");
    cr_expect_eq(change_ahead(1, 0, 4).raw.mask, IN_DELETE);
    cr_expect_eq(change_ahead(3, 0, SIZE_MAX).raw.mask, 0);
    for (int i = 0; i < 4; i++)
        next();
    cr_expect_eq(change_ahead(1, 0, SIZE_MAX).raw.mask, IN_CREATE, "the rest was committed");
}

Test(stream_ahead, change_ahead_in_another_block)
{
    push_numbered(0, 3000);
    push(9, IN_DELETE, "f");
    read_all();
    struct tn__change change = change_ahead(9, 0, SIZE_MAX);
    cr_expect_eq(change.raw.mask, IN_DELETE);
    tn__stream_take(&stream, &change.raw);
    cr_expect_eq(change_ahead(9, 0, SIZE_MAX).raw.mask, 0);
    expect_numbered(0, 3000);
    cr_expect_eq(next().mask, 0);
    expect_end();
}

Test(stream_ahead, what_was_taken_is_not_ahead)
{
    for (int asked_before = 0; asked_before < 2; asked_before++) {
        script_push(&script, 1, IN_MOVED_TO, 7, "f");
        push(1, IN_DELETE, "f");
        read_all();
        if (asked_before)
            cr_expect_eq(ahead(1, "f"), IN_MOVED_TO);
        struct tn__change change = change_ahead(1, 0, SIZE_MAX);
        tn__stream_take(&stream, &change.raw);
        cr_expect_eq(ahead(1, "f"), IN_DELETE);
        cr_expect_eq(to_ahead(7), 0);
        cr_expect_eq(next().mask, 0);
        cr_expect_eq(next().mask, IN_DELETE);
        expect_end();
    }
}

Test(stream_ahead, what_was_marked)
{
    push(1, IN_MOVED_TO, "f");
    read_all();
    struct tn__change change = change_ahead(1, 0, SIZE_MAX);
    tn__stream_mark(&stream, &change.raw, TN__RAW_UNTOLD);
    cr_expect_eq(next().mask, IN_MOVED_TO | TN__RAW_UNTOLD);
}
