/*
 * Directories that change their names while an add places them. The change is
 * made in `placed`, in the middle of the crawl, and nobody reads meanwhile: so
 * the records of what the crawl has seen, and of what it has not, are all ahead
 * of it.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/inotify.h>

#include "gate.h"
#include "support.h"

/* Below t, until the wanted directory is placed. */
struct change {
    const char *placed; /* after which it is made */
    void (*make)(void);
};

static int change_when_placed(const char *path, tn_wd wd, int error, void *data)
{
    const struct change *change = data;

    cr_assert_geq(wd, 0);
    cr_assert_eq(error, 0);
    if (strcmp(path, change->placed) == 0)
        change->make();
    return 0;
}

static void add_changing(uint32_t flags, const char *placed, void (*make)(void))
{
    struct change change = {.placed = placed, .make = make};
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;

    options.mask = ENTRIES;
    options.flags = flags;
    options.data = &change;
    options.placed = change_when_placed;
    add_options("t", &options);
    settle(notifier);
    recorder_clear(&seen);
}

/* A file made in each is told there, once, and nothing else is. */
static void expect_true(const char *one, const char *two)
{
    const char *const paths[] = {one, two};
    char file[64], line[64];

    for (size_t i = 0; i < 2 && paths[i]; i++) {
        snprintf(file, sizeof(file), "%s/probe", paths[i]);
        snprintf(line, sizeof(line), "CREATE %s:probe", paths[i]);
        make_file(file);
        settle(notifier);
        EXPECT(&seen, line);
        cr_assert(is_watched(paths[i]));
    }
}

static void open_young(void)
{
    stage_open();
    stage_new(NULL);
    make_dirs("t/a/one/deep");
    make_dirs("t/b/two/deep");
    make_dir("outside");
}

TestSuite(young, .init = open_young, .fini = stage_close);

static void swap(void)
{
    move("t/a", "t/x");
    move("t/b", "t/a");
    move("t/x", "t/b");
}

static void shift(void)
{
    move("t/a", "t/x");
    move("t/b", "t/a");
}

static void move_down(void)
{
    move("t/a", "t/b/two/a");
}

static void make_anew(void)
{
    remove_tree("t/a");
    make_dirs("t/a/one/deep");
}

static void move_out(void)
{
    move("t/a", "outside/a");
}

static void move_out_and_make(void)
{
    move("t/a", "outside/a");
    make_dirs("t/a/one/deep");
}

/* A parameter holds no pointer: Criterion hands it to another process. */
enum { SWAP, SHIFT, MOVE_DOWN, MAKE_ANEW, MOVE_OUT, MOVE_OUT_AND_MAKE };
static void (*const changes[])(void) = {swap,      shift,    move_down,
                                        make_anew, move_out, move_out_and_make};

struct expectation {
    uint32_t flags;
    char placed[16];
    int change;
    char one[32], two[32], gone[16];
};

ParameterizedTestParameters(young, paths_are_true)
{
#define BOTH(...)                                                                                  \
    {TN_WATCH_TREE, __VA_ARGS__}, {TN_WATCH_RECURSIVE, __VA_ARGS__},                               \
    {                                                                                              \
        TN_WATCH_TREE | TN_WATCH_EXISTING, __VA_ARGS__                                             \
    }
    static struct expectation expectations[] = {
        BOTH("t", SWAP, "t/a/two/deep", "t/b/one/deep", "t/x"),
        BOTH("t/a", SWAP, "t/a/two/deep", "t/b/one/deep", "t/x"),
        BOTH("t/b", SWAP, "t/a/two/deep", "t/b/one/deep", "t/x"),
        BOTH("t", SHIFT, "t/x/one/deep", "t/a/two/deep", "t/b"),
        BOTH("t/a", SHIFT, "t/x/one/deep", "t/a/two/deep", "t/b"),
        BOTH("t/b", SHIFT, "t/x/one/deep", "t/a/two/deep", "t/b"),
        BOTH("t", MOVE_DOWN, "t/b/two/a/one/deep", "t/b/two/deep", "t/a"),
        BOTH("t/a", MOVE_DOWN, "t/b/two/a/one/deep", "t/b/two/deep", "t/a"),
        BOTH("t/b", MOVE_DOWN, "t/b/two/a/one/deep", "t/b/two/deep", "t/a"),
        BOTH("t", MAKE_ANEW, "t/a/one/deep", "t/b/two/deep", "t/x"),
        BOTH("t", MOVE_OUT, "t/b/two/deep", "t/b", "t/a"),
        BOTH("t/a", MOVE_OUT, "t/b/two/deep", "t/b", "t/a"),
        BOTH("t/b", MOVE_OUT, "t/b/two/deep", "t/b", "t/a"),
        BOTH("t", MOVE_OUT_AND_MAKE, "t/a/one/deep", "t/a/one", "t/x"),
    };
    return cr_make_param_array(struct expectation, expectations,
                               sizeof(expectations) / sizeof(*expectations));
}

ParameterizedTest(const struct expectation *expected, young, paths_are_true)
{
    add_changing(expected->flags, expected->placed, changes[expected->change]);
    expect_true(expected->one, expected->two);
    cr_assert_not(is_watched(expected->gone));
    make_file("outside/probe");
    settle(notifier);
    EXPECT_NONE(&seen);
}

/* What left the tree is not told any more, and its watches are not kept. */
Test(young, what_left_has_no_watch)
{
    add_changing(TN_WATCH_TREE, "t/a", move_out);
    make_file("outside/a/one/deep/probe");
    settle(notifier);
    EXPECT_NONE(&seen);
    cr_assert_eq(stats().watches, 4);
}

/* A directory that came in its stead is announced with its contents, as any that comes. */
Test(young, what_comes_is_announced)
{
    struct change change = {.placed = "t", .make = move_out_and_make};
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;

    options.mask = ENTRIES;
    options.flags = TN_WATCH_TREE;
    options.data = &change;
    options.placed = change_when_placed;
    add_options("t", &options);
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "CREATE|ISDIR t:a"), 1);
    cr_assert_eq(recorder_lines(&seen, "CREATE|ISDIR t/a:one synthetic"), 1);
    cr_assert_eq(recorder_lines(&seen, "CREATE|ISDIR t/a/one:deep synthetic"), 1);
}

static void add_making(const char *placed, void (*make)(void))
{
    struct change change = {.placed = placed, .make = make};
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;

    options.mask = ENTRIES;
    options.flags = TN_WATCH_TREE;
    options.data = &change;
    options.placed = change_when_placed;
    add_options("t", &options);
}

static void move_away(void)
{
    move("t/a", "t/x");
}

/* The watch of what moved sleeps when it is taken in, because another add watches it too. */
Test(young, what_comes_is_announced_beside_another_add)
{
    add("t", ENTRIES, TN_WATCH_TREE);
    settle(notifier);
    add_making("t", move_away);
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "MOVED_TO|ISDIR t:x"), 1);
    cr_assert_eq(recorder_lines(&seen, "CREATE|ISDIR t/x:one synthetic"), 1);
    cr_assert_eq(recorder_lines(&seen, "CREATE|ISDIR t/x/one:deep synthetic"), 1);
}

/* Where the crawl stops, and the reader is in the middle of taking in what is above. */
static sem_t crawl_waits, crawl_goes_on, crawl_is_below;
static pthread_t reading;
static bool hold_reader;

static int hold_crawl(const char *path, tn_wd wd, int error, void *data)
{
    (void)wd;
    (void)error;
    (void)data;
    if (strcmp(path, "t") == 0) {
        make_dirs("t/new/one");
        make_file("t/new/one/file");
    } else if (strcmp(path, "t/new") == 0) {
        sem_post(&crawl_waits);
        wait_for(&crawl_goes_on);
    } else if (strcmp(path, "t/new/one") == 0) {
        sem_post(&crawl_is_below);
    }
    return 0;
}

static bool let_crawl_go_on(const char *path, bool is_dir, void *userdata)
{
    (void)is_dir;
    (void)userdata;
    if (hold_reader && pthread_equal(reading, pthread_self()) && strcmp(path, "t/new") == 0) {
        hold_reader = false;
        sem_post(&crawl_goes_on);
        wait_for(&crawl_is_below);
    }
    return false;
}

static void *add_held(void *filter)
{
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;

    options.mask = ENTRIES;
    options.flags = TN_WATCH_TREE;
    options.placed = hold_crawl;
    options.filter = filter;
    add_options("t", &options);
    return NULL;
}

/* The crawl goes on below a directory that was set aside and is not told yet. */
Test(young, what_is_placed_below_is_announced)
{
    struct tn_filter *filter;
    pthread_t adding;

    cr_assert_eq(tn_filter_new(&filter), 0);
    cr_assert_eq(tn_filter_add_test(filter, let_crawl_go_on, NULL, NULL), 0);
    cr_assert_eq(sem_init(&crawl_waits, 0, 0), 0);
    cr_assert_eq(sem_init(&crawl_goes_on, 0, 0), 0);
    cr_assert_eq(sem_init(&crawl_is_below, 0, 0), 0);
    reading = pthread_self();
    hold_reader = true;
    cr_assert_eq(pthread_create(&adding, NULL, add_held, filter), 0);
    wait_for(&crawl_waits);
    cr_assert_geq(tn_notifier_read_events(notifier), 1);
    cr_assert_eq(pthread_join(adding, NULL), 0);
    settle(notifier);
    tn_filter_unref(filter);
    cr_assert_eq(recorder_lines(&seen, "CREATE|ISDIR t:new"), 1);
    cr_assert_eq(recorder_lines(&seen, "CREATE|ISDIR t/new:one synthetic"), 1);
    cr_assert_eq(recorder_lines(&seen, "CREATE t/new/one:file synthetic"), 1);
}
