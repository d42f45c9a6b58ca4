/*
 * The kernel's queue overflows, or the notifier's own is full under
 * TN_FULL_DROP: a model of the directories that is kept from the events alone
 * is the tree afterwards, and each of them is watched.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "gate.h"
#include "support.h"

enum { MOST = 4000 };

#define WITH_GAP (ENTRIES | (uint32_t)IN_Q_OVERFLOW)

struct entry {
    char *path;
    uint32_t cookie; /* it has left under it, from the path that it still has */
};

/* Of one add; told by one thread at a time. */
struct model {
    struct entry entries[MOST];
    size_t count;
    unsigned begins, ends, odd, in_gap;
    struct gate *gate; /* before each event; NULL: none */
};

static struct model models[2];

static bool is_below(const char *path, const char *top)
{
    size_t length = strlen(top);

    return strncmp(path, top, length) == 0 && (!path[length] || path[length] == '/');
}

static size_t find(const struct model *model, const char *path)
{
    size_t i = 0;

    while (i < model->count && (model->entries[i].cookie || strcmp(model->entries[i].path, path)))
        i++;
    return i;
}

static void appear(struct model *model, const char *path)
{
    model->odd += find(model, path) < model->count || model->count == MOST;
    if (model->count < MOST)
        model->entries[model->count++] = (struct entry){.path = strdup(path)};
}

static void vanish(struct model *model, const char *path, uint32_t cookie)
{
    model->odd += find(model, path) == model->count;
    for (size_t i = 0; i < model->count; i++) {
        struct entry *entry = &model->entries[i];
        if (entry->cookie || !is_below(entry->path, path))
            continue;
        entry->cookie = cookie;
        if (!cookie) {
            free(entry->path);
            model->entries[i--] = model->entries[--model->count];
        }
    }
}

static void arrive(struct model *model, const struct tn_event *event)
{
    bool known = false;

    for (size_t i = 0; event->cookie && event->src_pathname && i < model->count; i++) {
        struct entry *entry = &model->entries[i];
        char *moved = NULL;
        if (entry->cookie != event->cookie || !is_below(entry->path, event->src_pathname))
            continue;
        known = true;
        cr_assert_geq(asprintf(&moved, "%s%s", event->pathname,
                               entry->path + strlen(event->src_pathname)),
                      0);
        free(entry->path);
        *entry = (struct entry){.path = moved};
    }
    if (!known)
        appear(model, event->pathname);
}

static int model_event(const struct tn_event *event, void *userdata)
{
    struct model *model = userdata;

    if (model->gate)
        gate_pass(model->gate);
    if (event->mask & IN_Q_OVERFLOW) {
        model->begins += (event->flags & TN_EVENT_GAP_BEGIN) != 0;
        model->ends += (event->flags & TN_EVENT_GAP_END) != 0;
        model->odd += model->begins - model->ends > 1;
    }
    if (!(event->mask & IN_ISDIR) || !event->name)
        return 0;
    if (event->mask & IN_CREATE)
        appear(model, event->pathname);
    else if (event->mask & IN_DELETE)
        vanish(model, event->pathname, 0);
    else if (event->mask & IN_MOVED_FROM)
        vanish(model, event->pathname, event->cookie);
    else if (event->mask & IN_MOVED_TO)
        arrive(model, event);
    return 0;
}

/* Each directory below is told, and watched; how many there are. */
static size_t check_below(const struct model *model, const char *path)
{
    DIR *directory = opendir(path);
    size_t count = 0;

    cr_assert_not_null(directory);
    for (const struct dirent *item; (item = readdir(directory));) {
        char below[1024];
        if (item->d_type != DT_DIR || item->d_name[0] == '.')
            continue;
        snprintf(below, sizeof(below), "%s/%s", path, item->d_name);
        cr_expect_lt(find(model, below), model->count, "not told: %s", below);
        cr_expect(is_watched(below), "not watched: %s", below);
        count += 1 + check_below(model, below);
    }
    closedir(directory);
    return count;
}

static void check(struct model *model, const char *path)
{
    cr_expect_eq(check_below(model, path), model->count, "%s: the model has %zu", path,
                 model->count);
    cr_expect_eq(model->odd, 0, "%s: %u odd events", path, model->odd);
    cr_expect_gt(model->begins, 0);
    cr_expect_eq(model->begins, model->ends);
}

static tn_wd add_model(struct model *model, const char *path)
{
    struct tn_processor *processor = processing(model_event, model);
    tn_wd wd = add_options(path, TN_WATCH_OPTIONS(.mask = WITH_GAP, .flags = TN_WATCH_TREE,
                                                  .processor = processor));

    tn_processor_unref(processor);
    return wd;
}

static void close_stage(void)
{
    notifier = tn_notifier_free(notifier);
    for (size_t i = 0; i < 2; i++)
        while (models[i].count)
            free(models[i].entries[--models[i].count].path);
    stage_close();
}

TestSuite(overflow, .init = stage_open, .fini = close_stage, .timeout = 100);

/* Directories come, go and move, and files between them. */
static void change(const char *top, unsigned from, unsigned to)
{
    static unsigned out;

    for (unsigned i = from; i < to; i++) {
        make_dirs(at("%s/d%u/in/deep", top, i));
        make_file(at("%s/d%u/in/file", top, i));
        if (i % 6 == 1)
            move(at("%s/d%u", top, i), at("%s/d%u/in/d%u", top, i - 1, i));
        else if (i % 6 == 2)
            remove_tree(at("%s/d%u/in", top, i));
        else if (i % 6 == 3)
            move(at("%s/d%u", top, i), at("%s/moved%u", top, i));
        else if (i % 6 == 4)
            move(at("%s/d%u", top, i), at("out%u", out++));
        else if (i % 6 == 5)
            remove_tree(at("%s/d%u", top, i));
    }
}

/* Two in turn, for the kernel merges equal events in a row. */
static void overflow_queue(void)
{
    for (unsigned i = 0; i < 20000; i++)
        change_mode(i % 2 ? "w/file" : "w/file2", 0600);
}

static uint64_t queue_length(void)
{
    struct tn_limits limits = TN_LIMITS_INIT;

    return tn_limits_get(&limits) == 0 ? limits.queued_events : UINT64_MAX;
}

/* What was known before comes and goes as well. */
static void grow(const char *top)
{
    for (unsigned i = 0; i < 150; i++)
        make_dirs(at("%s/old%u/in", top, i));
}

static void change_old(const char *top)
{
    for (unsigned i = 0; i < 150; i++)
        if (i % 3 == 0)
            remove_tree(at("%s/old%u", top, i));
        else if (i % 3 == 1)
            move(at("%s/old%u", top, i), at("%s/old%u/in/sub%u", top, i + 1, i));
    move(at("%s/old2", top), at("%s/x", top));
    move(at("%s/old5", top), at("%s/old2", top));
    move(at("%s/x", top), at("%s/old5", top));
}

Test(overflow, of_the_kernels_queue)
{
    struct tn_stats before, after;

    if (queue_length() > 20000)
        SKIP("fs.inotify.max_queued_events is %llu", (unsigned long long)queue_length());
    stage_new(NULL);
    make_dirs("w/sub");
    make_file("w/file");
    make_file("w/file2");
    add("w/file", IN_ATTRIB, 0);
    add("w/file2", IN_ATTRIB, 0);
    add_model(&models[0], "w");
    add_model(&models[1], "w/sub");
    appear(&models[0], "w/sub");
    grow("w/sub");
    settle(notifier);
    before = stats();
    cr_assert_eq(before.overflows, 0);
    change("w", 0, 120);
    overflow_queue();
    change_old("w/sub");
    change("w/sub", 0, 120);
    change("w", 120, 300);
    settle(notifier);
    after = stats();
    cr_expect_gt(after.overflows, 0);
    cr_expect_eq(recorder_count_of(&seen, IN_Q_OVERFLOW), after.overflows);
    check(&models[0], "w");
    check(&models[1], "w/sub");
}

/* The tree changes while it is read, and the queue overflows again and again. */
Test(overflow, again_and_again)
{
    if (queue_length() > 20000)
        SKIP("fs.inotify.max_queued_events is %llu", (unsigned long long)queue_length());
    stage_new(NULL);
    make_dir("w");
    make_file("w/file");
    make_file("w/file2");
    add("w/file", IN_ATTRIB, 0);
    add("w/file2", IN_ATTRIB, 0);
    add_model(&models[0], "w");
    settle(notifier);
    for (unsigned i = 0; i < 3; i++) {
        overflow_queue();
        change("w", i * 60, i * 60 + 60);
        tn_notifier_read_events(notifier);
        change("w", 1002 + i * 60, 1062 + i * 60);
        overflow_queue();
    }
    settle(notifier);
    check(&models[0], "w");
}

/* A processor that holds back: what comes meanwhile is dropped, counted, told and healed. */
static void drop(unsigned threads, size_t queue_bytes)
{
    static struct gate gate;
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    gate_init(&gate);
    options.threads = threads;
    options.when_full = TN_FULL_DROP;
    options.queue_bytes = queue_bytes;
    stage_start_with(&options);
    make_dir("w");
    models[0].gate = &gate;
    add_model(&models[0], "w");
    make_dir("w/first");
    gate_wait_for(&gate, 1);
    grow("w");
    for (unsigned i = 0; !stats().dropped; i++)
        make_file(at("w/a-name-that-takes-some-room-%u", i));
    change_old("w");
    change("w", 0, 600);
    gate_open(&gate);
    settle(notifier);
    check(&models[0], "w");
    cr_expect_gt(stats().overflows, 0);
    cr_expect_lt(stats().queue_bytes_high, queue_bytes + queue_bytes / 2, "%llu bytes",
                 (unsigned long long)stats().queue_bytes_high);
}

Test(overflow, of_a_small_queue_under_drop)
{
    drop(1, 64 << 10);
}

Test(overflow, of_a_larger_queue_under_drop)
{
    drop(2, 256 << 10);
}

/* An add that comes while records are dropped has missed some too; what is there is listed when
 * the tree is true. */
static void add_while_full(uint32_t flags)
{
    static struct gate gate;
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor *processor;

    gate_init(&gate);
    options.threads = 2;
    options.when_full = TN_FULL_DROP;
    options.queue_bytes = 64 << 10;
    stage_start_with(&options);
    make_dir("w");
    models[0].gate = &gate;
    add_model(&models[0], "w");
    make_dir("w/first");
    gate_wait_for(&gate, 1);
    for (unsigned i = 0; !stats().dropped; i++)
        make_file(at("w/a-name-that-takes-some-room-%u", i));
    processor = processing(model_event, &models[1]);
    make_dir("v");
    add_options("v", TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE | flags,
                                      .processor = processor));
    tn_processor_unref(processor);
    uint64_t dropped = stats().dropped;
    change("v", 0, 60);
    while (stats().dropped < dropped + 60)
        make_file("w/file");
    gate_open(&gate);
    settle(notifier);
    check(&models[0], "w");
    cr_expect_eq(check_below(&models[1], "v"), models[1].count);
    cr_expect_eq(models[1].odd, 0);
}

Test(overflow, added_while_full)
{
    add_while_full(0);
}

Test(overflow, added_with_existing_while_full)
{
    add_while_full(TN_WATCH_EXISTING);
}

/* Its end is among what is dropped. */
Test(overflow, removed_while_full)
{
    static struct gate gate;
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    gate_init(&gate);
    options.threads = 2;
    options.when_full = TN_FULL_DROP;
    options.queue_bytes = 64 << 10;
    stage_start_with(&options);
    make_dir("w");
    make_dir("v");
    models[0].gate = &gate;
    add_model(&models[0], "w");
    tn_wd wd = add("v", IN_CREATE, 0);
    make_dir("w/first");
    gate_wait_for(&gate, 1);
    for (unsigned i = 0; !stats().dropped; i++)
        make_file(at("w/a-name-that-takes-some-room-%u", i));
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    uint64_t dropped = stats().dropped;
    for (unsigned i = 0; stats().dropped < dropped + 60; i++)
        make_file(at("w/later-%u", i));
    gate_open(&gate);
    settle(notifier);
    check(&models[0], "w");
    cr_expect_eq(recorder_count_of(&seen, IN_IGNORED), 1);
}
