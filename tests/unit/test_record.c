/* How an event lies in a slab: queue/record.c, and the sharing in lane.c. */
#include "lane_hand.h"

TestSuite(record, .init = set_up, .fini = tear_down);

static void (*check_event)(void);

static void deliver_text(struct tn__lane *of)
{
    struct tn__record *record = (void *)(of->head->data + of->head_at);

    tn__record_event(record, &last_event);
    check_event();
}

static void round_trip(const struct tn__entry *entry, void (*check)(void))
{
    size_t before = delivers, logged_before = logged;

    check_event = check;
    on_deliver = deliver_text;
    cr_assert_eq(tn__lane_push(&lanes, lane, entry), 0);
    tn__lanes_publish(&lanes);
    run_all();
    cr_assert_eq(delivers, before + 1);
    cr_assert_eq(logged, logged_before + 1);
}

static void check_all(void)
{
    cr_expect_eq(last_event.wd, 1234567890123);
    cr_expect_eq(last_event.root, 1234567890122);
    cr_expect_null(last_event.data);
    cr_expect_eq(last_event.mask, IN_MOVED_TO | IN_ISDIR);
    cr_expect_eq(last_event.cookie, 0xfedcba98);
    cr_expect_eq(last_event.flags, 0x80000011);
    cr_expect_eq(last_event.error, -ENOSPC);
    cr_expect_eq(last_event.sequence, UINT64_MAX - 1);
    cr_expect_eq(last_event.read_ns, UINT64_MAX - 2);
    cr_expect_str_eq(last_event.path, "/home/user");
    cr_expect_str_eq(last_event.name, "new");
    cr_expect_str_eq(last_event.pathname, "/home/user/new");
    cr_expect_str_eq(last_event.src_pathname, "/home/old");
}

static void check_header(struct tn__lane *of)
{
    const struct tn__record *record = (void *)(of->head->data + of->head_at);

    cr_expect_eq(record->watch, 0xabcdef01);
    cr_expect_eq(record->kind, 200);
    check_all();
}

Test(record, keeps_every_field)
{
    struct tn__entry entry = {
        .wd = 1234567890123,
        .root = 1234567890122,
        .watch = 0xabcdef01,
        .mask = IN_MOVED_TO | IN_ISDIR,
        .cookie = 0xfedcba98,
        .flags = 0x80000011,
        .error = -ENOSPC,
        .kind = 200,
        .path = "/home/user:",
        .path_length = 10,
        .name = "new:",
        .name_length = 3,
        .src_pathname = "/home/old:",
        .src_length = 9,
        .sequence = UINT64_MAX - 1,
        .read_ns = UINT64_MAX - 2,
    };

    round_trip(&entry, check_all);
    on_deliver = check_header;
    cr_assert_eq(tn__lane_push(&lanes, lane, &entry), 0);
    tn__lanes_publish(&lanes);
    run_all();
}

static void check_overflow(void)
{
    cr_expect_null(last_event.path);
    cr_expect_null(last_event.name);
    cr_expect_null(last_event.pathname);
    cr_expect_null(last_event.src_pathname);
}

Test(record, without_text)
{
    struct tn__entry entry = entry_of(NULL, NULL, 5);

    round_trip(&entry, check_overflow);
}

static void check_self(void)
{
    cr_expect_str_eq(last_event.path, "/a/b");
    cr_expect_null(last_event.name);
    cr_expect_eq(last_event.pathname, last_event.path);
}

Test(record, pathname_is_path_without_a_name)
{
    struct tn__entry entry = entry_of("/a/b", NULL, 5);

    round_trip(&entry, check_self);
    round_trip(&entry, check_self); /* shared now */
}

static void check_root(void)
{
    cr_expect_str_eq(last_event.path, "/");
    cr_expect_str_eq(last_event.pathname, "/x");
}

Test(record, below_the_root_directory)
{
    struct tn__entry entry = entry_of("/", "x", 5);

    round_trip(&entry, check_root);
}

static void check_name_only(void)
{
    cr_expect_null(last_event.path);
    cr_expect_null(last_event.pathname);
    cr_expect_str_eq(last_event.name, "x");
}

Test(record, a_name_without_a_path)
{
    struct tn__entry entry = entry_of(NULL, "x", 0);

    round_trip(&entry, check_name_only);
}

static char long_text[1 << 20];
static size_t long_length;

static void check_long(void)
{
    cr_expect_eq(strlen(last_event.path), long_length);
    cr_expect_eq(strlen(last_event.pathname), long_length + 2);
    cr_expect_str_eq(last_event.name, "n");
    cr_expect_str_eq(last_event.src_pathname, long_text);
    cr_expect_eq(memcmp(last_event.path, long_text, long_length), 0);
}

Test(record, text_of_any_length)
{
    static const size_t lengths[] = {1,  3,  4,   7,   8,    15,   16,   17,   31,     32,
                                     33, 64, 255, 900, 1930, 2000, 5000, 9000, 300000, 1048575};

    for (size_t i = 0; i < TN__COUNT(lengths); i++) {
        long_length = lengths[i];
        for (size_t at = 0; at < long_length; at++)
            long_text[at] = (char)('a' + at % 26);
        long_text[long_length] = '\0';
        struct tn__entry entry = entry_of(long_text, "n", 0);
        entry.src_pathname = long_text;
        entry.src_length = long_length;
        round_trip(&entry, check_long);
        tn__lanes_reclaim(&lanes);
        cr_expect_eq(tn__lanes_bytes(&lanes), 0);
    }
}

static const char *paths[8];
static size_t path_count;

static void note_path(struct tn__lane *of)
{
    uint32_t at = of->head_at;

    for (path_count = 0; at < tn__load(&of->head->committed, acquire); path_count++) {
        const struct tn__record *record = (void *)(of->head->data + at);
        paths[path_count] = tn__record_path(record);
        at += record->size8 * 8u;
    }
}

Test(record, equal_keys_in_a_row_share_the_path)
{
    struct tn__entry one = entry_of("/one", "x", 1), two = entry_of("/two", "x", 2);
    struct tn__entry plain = entry_of("/one", "x", 0);
    const struct tn__entry *order[] = {&one, &one, &two, &one, &one, &plain, &plain};

    on_deliver = note_path;
    for (size_t i = 0; i < TN__COUNT(order); i++)
        cr_assert_eq(tn__lane_push(&lanes, lane, order[i]), 0);
    tn__lanes_publish(&lanes);
    run_all();
    cr_assert_eq(path_count, TN__COUNT(order));
    cr_expect_eq(paths[1], paths[0]);
    cr_expect_neq(paths[3], paths[0]);
    cr_expect_eq(paths[4], paths[3]);
    cr_expect_neq(paths[5], paths[3]);
    cr_expect_neq(paths[6], paths[5]);
    cr_expect_str_eq(last_event.path, "/one");
}

static struct tn__slab *text_slab;

static void check_slab_of_path(struct tn__lane *of)
{
    if (of->head == text_slab)
        return;
    text_slab = of->head; /* the first record of a slab has its path in that slab */
    const struct tn__record *record = (void *)of->head->data;
    const char *path = tn__record_path(record);
    cr_expect(path > of->head->data && path < of->head->data + of->head->capacity);
}

Test(record, a_path_is_not_shared_between_slabs)
{
    on_deliver = check_slab_of_path;
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert_eq(push_number(lane, i), 0);
        tn__lanes_publish(&lanes);
        run_all();
        cr_assert_str_eq(last_event.pathname, "/some/path/name");
    }
}

Test(record, what_does_not_fit_is_refused)
{
    struct tn__entry entry = entry_of("/p", "n", 0);

    entry.name_length = UINT16_MAX + 1;
    cr_expect_eq(tn__lane_push(&lanes, lane, &entry), -EINVAL);
    entry = entry_of("/p", "n", 0);
    entry.kind = 256;
    cr_expect_eq(tn__lane_push(&lanes, lane, &entry), -EINVAL);
    entry = entry_of("/p", "n", 0);
    entry.path_length = SIZE_MAX;
    cr_expect_eq(tn__lane_push(&lanes, lane, &entry), -EINVAL);
    entry = entry_of("/p", "n", 0);
    entry.src_length = SIZE_MAX;
    cr_expect_eq(tn__lane_push(&lanes, lane, &entry), -EINVAL);
    entry = entry_of("/p", "n", 0);
    entry.error = INT16_MIN - 1;
    cr_expect_eq(tn__lane_push(&lanes, lane, &entry), -EINVAL);
    entry.error = INT16_MAX + 1;
    cr_expect_eq(tn__lane_push(&lanes, lane, &entry), -EINVAL);
    cr_expect_null(lane->tail);
}
