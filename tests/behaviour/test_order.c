/* Ordering domains: one event at a time in each, in the stream's order; several at once. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

TestSuite(order, .init = stage_open, .fini = stage_close, .timeout = 60);

enum { DOMAINS = 4096, WATCHES = 1024, ADDS = 4, WRITERS = 4 };

struct domain {
    atomic_uint inside; /* calls that run */
    _Atomic uint64_t sequence;
};

struct stage {
    enum tn_order order;
    struct domain domains[DOMAINS];
    atomic_uint calls, together, backward, after_ignored, ignored_twice, released_early;
    atomic_uint ignored[WATCHES]; /* by wd */
};

/* options.data of an add */
struct own {
    struct stage *stage;
    unsigned number;
    atomic_uint inside, releases;
};

static struct domain *domain_of(struct stage *stage, const struct tn_event *event)
{
    switch (stage->order) {
    case TN_ORDER_NOTIFIER:
        return &stage->domains[0];
    case TN_ORDER_TREE:
        return &stage->domains[event->root];
    case TN_ORDER_DIRECTORY:
        return &stage->domains[event->wd];
    default:
        return NULL;
    }
}

static int check_domain(const struct tn_event *event, void *userdata)
{
    struct stage *stage = userdata;
    struct own *own = event->data;
    struct domain *domain = domain_of(stage, event);
    atomic_uint *ignored = &stage->ignored[event->wd];

    atomic_fetch_add(&own->inside, 1);
    atomic_fetch_add(&stage->calls, 1);
    if (domain && atomic_fetch_add(&domain->inside, 1) > 0)
        atomic_fetch_add(&stage->together, 1);
    if (domain && atomic_exchange(&domain->sequence, event->sequence) >= event->sequence)
        atomic_fetch_add(&stage->backward, 1);
    if (event->mask & IN_IGNORED) {
        if (atomic_fetch_add(ignored, 1) > 0)
            atomic_fetch_add(&stage->ignored_twice, 1);
    } else if (atomic_load(ignored) > 0) {
        atomic_fetch_add(&stage->after_ignored, 1);
    }
    if (atomic_load(&own->releases) > 0)
        atomic_fetch_add(&stage->released_early, 1);
    if (domain)
        atomic_fetch_sub(&domain->inside, 1);
    atomic_fetch_sub(&own->inside, 1);
    return 0;
}

static void check_release(void *data)
{
    struct own *own = data;

    if (atomic_load(&own->inside) > 0)
        atomic_fetch_add(&own->stage->released_early, 1);
    atomic_fetch_add(&own->releases, 1);
}

static void start_with(enum tn_order order, unsigned threads, tn_process_fn process, void *userdata)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.threads = threads;
    options.order = order;
    options.queue_bytes = 256 * 1024;
    stage_new_with(processing(process, userdata), &options);
    cr_assert_eq(tn_notifier_start(notifier), 0);
}

/* Directories come and go below all roots, and files in them. */
static void *write_tree(void *own)
{
    unsigned number = ((struct own *)own)->number;

    for (unsigned i = 0; i < 20; i++) {
        char path[64];
        snprintf(path, sizeof(path), "d%u/%u", number, i);
        make_dir(path);
        make_files(at("%s/f", path), 10);
        settle(notifier);
        for (unsigned k = 0; k < 10; k++)
            append(at("%s/f%u", path, k), "x");
        for (unsigned k = 0; k < 10; k++)
            unlink(at("%s/f%u", path, k));
        if (i % 2 == 0)
            rmdir(path);
    }
    return NULL;
}

/* Each of the four trees is watched twice; then the watches go while events are on their way. */
static void check_order(enum tn_order order)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    struct own owns[2 * ADDS];
    pthread_t threads[WRITERS];
    tn_wd wds[2 * ADDS];

    cr_assert_not_null(stage);
    stage->order = order;
    start_with(order, 4, check_domain, stage);
    for (unsigned i = 0; i < 2 * ADDS; i++) {
        owns[i] = (struct own){.stage = stage, .number = i};
        if (i < ADDS)
            make_dir(at("d%u", i));
        wds[i] =
            add_options(at("d%u", i % ADDS),
                        TN_WATCH_OPTIONS(.mask = CHANGES | IN_DELETE_SELF, .flags = TN_WATCH_TREE,
                                         .data = &owns[i], .release = check_release));
    }
    for (size_t i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_tree, &owns[i]);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < ADDS; i++)
        make_files(at("d%u/g", i), 100);
    for (size_t i = 0; i < 2 * ADDS; i++)
        cr_expect_eq(tn_watch_remove(notifier, wds[i], TN_REMOVE_RECURSIVE), 0);
    settle(notifier);
    for (size_t i = 0; i < 2 * ADDS; i++) {
        cr_expect_eq(atomic_load(&owns[i].releases), 1, "add %zu", i);
        cr_expect_eq(atomic_load(&stage->ignored[wds[i]]), 1, "add %zu", i);
    }
    cr_expect_gt(atomic_load(&stage->calls), 2 * 4 * 20 * 20);
    cr_expect_eq(atomic_load(&stage->together), 0);
    cr_expect_eq(atomic_load(&stage->backward), 0);
    cr_expect_eq(atomic_load(&stage->after_ignored), 0);
    cr_expect_eq(atomic_load(&stage->ignored_twice), 0);
    cr_expect_eq(atomic_load(&stage->released_early), 0);
    cr_expect_eq(stats().watches, 0);
    notifier = tn_notifier_free(notifier);
    free(stage);
}

Test(order, tree)
{
    check_order(TN_ORDER_TREE);
}

Test(order, notifier)
{
    check_order(TN_ORDER_NOTIFIER);
}

Test(order, directory)
{
    check_order(TN_ORDER_DIRECTORY);
}

Test(order, path)
{
    check_order(TN_ORDER_PATH);
}

Test(order, none)
{
    check_order(TN_ORDER_NONE);
}

/* PATH: the events of each file, one at a time and in order. */

enum { FILES = 64, ROUNDS = 40 };

struct file {
    atomic_uint inside;
    _Atomic uint64_t sequence;
    atomic_uint events, wrong;
};

static int check_file(const struct tn_event *event, void *files)
{
    if (!event->name)
        return 0;
    struct file *file = &((struct file *)files)[atoi(event->name + 1)];
    unsigned number = atomic_fetch_add(&file->events, 1);
    /* CREATE, CLOSE_WRITE, then MODIFY and CLOSE_WRITE in turn */
    uint32_t expected = number == 0 ? IN_CREATE : number % 2 ? IN_CLOSE_WRITE : IN_MODIFY;

    if (atomic_fetch_add(&file->inside, 1) > 0 || event->mask != expected ||
        atomic_exchange(&file->sequence, event->sequence) >= event->sequence)
        atomic_fetch_add(&file->wrong, 1);
    atomic_fetch_sub(&file->inside, 1);
    return 0;
}

Test(order, path_by_path)
{
    struct file *files = calloc(FILES, sizeof(*files));

    cr_assert_not_null(files);
    start_with(TN_ORDER_PATH, 4, check_file, files);
    add(".", CHANGES, 0);
    make_files("f", FILES);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < FILES; i++)
            append(at("f%u", i), "x");
    settle(notifier);
    for (size_t i = 0; i < FILES; i++) {
        cr_expect_eq(atomic_load(&files[i].events), 2 + 2 * ROUNDS);
        cr_expect_eq(atomic_load(&files[i].wrong), 0);
    }
    notifier = tn_notifier_free(notifier);
    free(files);
}

/* Two domains run at once: two calls wait for each other. */

static int meet(const struct tn_event *event, void *barrier)
{
    if (event->mask & IN_CREATE)
        pthread_barrier_wait(barrier);
    return 0;
}

static void start_meeting(enum tn_order order)
{
    static pthread_barrier_t barrier;

    pthread_barrier_init(&barrier, NULL, 2);
    start_with(order, 2, meet, &barrier);
}

/* As many in a as in b, and none of them without one in the other. */
static void meet_in_two_directories(void)
{
    for (unsigned i = 0; i < 100; i++) {
        make_file(at("a/%u", i));
        make_file(at("b/%u", i));
    }
    settle(notifier);
}

Test(order, trees_run_at_once)
{
    start_meeting(TN_ORDER_TREE);
    make_dir("a");
    make_dir("b");
    add("a", IN_CREATE, TN_WATCH_TREE);
    add("b", IN_CREATE, TN_WATCH_TREE);
    meet_in_two_directories();
}

/* Two adds on one directory are two trees. */
Test(order, two_adds_on_one_directory_run_at_once)
{
    start_meeting(TN_ORDER_TREE);
    add(".", IN_CREATE, TN_WATCH_TREE);
    add(".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 100);
    settle(notifier);
}

Test(order, directories_run_at_once)
{
    start_meeting(TN_ORDER_DIRECTORY);
    make_dir("a");
    make_dir("b");
    add(".", IN_CREATE, TN_WATCH_TREE);
    meet_in_two_directories();
}

Test(order, paths_run_at_once)
{
    start_meeting(TN_ORDER_PATH);
    add(".", IN_CREATE, TN_WATCH_TREE);
    for (unsigned i = 0; i < 100; i++) {
        make_file(at("f%u", i));
        make_file(at("another-%u", i));
        settle(notifier);
    }
}

Test(order, none_runs_at_once)
{
    start_meeting(TN_ORDER_NONE);
    add(".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 100);
    settle(notifier);
}

/* An add's own order goes before the notifier's. */
Test(order, of_a_watch)
{
    start_meeting(TN_ORDER_NOTIFIER);
    tn_wd wd = add_options(".", TN_WATCH_OPTIONS(.mask = IN_CREATE, .order = TN_ORDER_NONE));
    make_files("f", 100);
    settle(notifier);
    cr_expect_eq(info(wd).order, TN_ORDER_NONE);
    wd = add("f0", IN_MODIFY, 0);
    cr_expect_eq(info(wd).order, TN_ORDER_NOTIFIER);
}
