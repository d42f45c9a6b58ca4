/*
 * A stream as the kernel tells it, with changes of the tree between any two
 * steps of the reader: a model that knows the events alone holds the real tree
 * at rest, and exactly its directories are watched. The model and what it finds
 * wrong are tnstress's. TN_FUZZ_TRACE=1 shows the events.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <tnotify/tnotify.h>

#include "notifier.h"
#include "stage.h"
#include "tnstress/model.h"
#include "tnstress/trace.h"

enum { CHANGES = IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE, OTHERS = 8 };

static struct model *model;
static struct tn_notifier *notifier;
static struct tn_processor *processor;
static tn_wd others[OTHERS]; /* roots of watches whose events do not matter */
static unsigned other_count;

void trace_note(const char *text)
{
    (void)text;
}

static int apply(const struct tn_event *event, void *unused)
{
    (void)unused;
    if (getenv("TN_FUZZ_TRACE") && event->data) {
        char line[4096];
        tn_event_format(event, line, sizeof(line));
        fprintf(stderr, "%s\n", line);
    }
    if (event->data)
        model_apply(event->data, event);
    return 0;
}

static void open_notifier(void)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    ops.process_default = apply;
    CHECK(tn_processor_new(&ops, NULL, &processor) == 0);
    options.processor = processor;
    options.move_timeout_ms = TN_NEVER;
    CHECK(tn__notifier_new_with(&options, &stage.source, &notifier) == 0);
}

static void add_other(void)
{
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;
    char path[STAGE_PATH];

    stage_take_path(path);
    options.mask = IN_CREATE | (take16(&stage.input) & IN_ALL_EVENTS);
    options.flags = take8(&stage.input) & TN_WATCH_TREE;
    if (other_count < OTHERS && tn_watch_add(notifier, path, &options, &others[other_count]) == 0)
        other_count++;
}

static void remove_other(void)
{
    uint8_t choice = take8(&stage.input);

    if (other_count == 0)
        return;
    tn_wd *wd = &others[choice % other_count];
    int result = tn_watch_remove(notifier, *wd, choice >> 6 & TN_REMOVE_RECURSIVE);
    CHECK(result == 0 || result == -ENOENT);
    *wd = others[--other_count];
}

static void play(void)
{
    while (!input_is_empty(&stage.input)) {
        uint8_t step = take8(&stage.input) & 15;
        if (step < 9)
            stage_change();
        else if (step < 12)
            CHECK(tn_notifier_read_events(notifier) >= 0);
        else if (step == 12)
            tn_notifier_process_events(notifier);
        else if (step == 13)
            add_other();
        else if (step == 14)
            remove_other();
        else
            stage.most = (size_t)take8(&stage.input) * 8;
        stage_end_deleted();
    }
}

/* Until nothing that was deleted is left to be told. */
static void rest(void)
{
    do
        CHECK(tn_notifier_settle(notifier, 10000) == 0);
    while (stage_end_deleted());
    model_rest(model);
}

/* One entry of the real tree; true: a directory, to be entered. */
static bool compare_entry(struct entry *directory, const char *path, const char *name)
{
    struct entry *entry = model_child(model, directory, name);
    struct stat status;

    CHECK(lstat(path, &status) == 0);
    bool is_dir = S_ISDIR(status.st_mode);
    if (!entry || entry->is_dir != is_dir) {
        model_fault(model, &model_verdict(model)->missed, "is there and was not told", path);
        return false;
    }
    entry->seen = true;
    if (is_dir && tn_watch_find(notifier, path, NULL) < 0)
        model_fault(model, &model_verdict(model)->unwatched, "has no watch", path);
    if (!is_dir && !entry->closed)
        model_fault(model, &model_verdict(model)->missed, "was not told to be complete", path);
    return is_dir;
}

/* How many directories there are. */
static unsigned compare(struct entry *directory, const char *path)
{
    unsigned count = 1;
    DIR *dir = opendir(path);

    CHECK(dir);
    for (struct dirent *at; (at = readdir(dir));) {
        char below[STAGE_PATH + 256];
        if (at->d_name[0] == '.')
            continue;
        snprintf(below, sizeof(below), "%s/%s", path, at->d_name);
        if (compare_entry(directory, below, at->d_name))
            count += compare(model_child(model, directory, at->d_name), below);
    }
    closedir(dir);
    for (struct entry *entry = directory->child; entry; entry = entry->next)
        if (!entry->seen)
            model_fault(model, &model_verdict(model)->missed, "is gone and was not told", path);
    return count;
}

/* Those that stand below a root which was removed alone, too. */
static int end_other(tn_wd wd, const char *path, void *unused)
{
    struct tn_watch_info info = TN_WATCH_INFO_INIT;

    (void)path;
    (void)unused;
    CHECK(tn_watch_get_info(notifier, wd, &info) == 0);
    if (!info.data)
        CHECK(tn_watch_remove(notifier, wd, 0) == 0);
    return 0;
}

static void check_watches(unsigned directories)
{
    struct tn_stats stats = TN_STATS_INIT;

    CHECK(tn_notifier_get_stats(notifier, &stats) == 0);
    CHECK(stats.watches == directories);
    CHECK(tn__replay_watches(stage.replay) == directories);
}

static void check_verdict(void)
{
    const struct verdict *verdict = model_verdict(model);

    CHECK(verdict->missed == 0);
    CHECK(verdict->duplicated == 0);
    CHECK(verdict->wrong_path == 0);
    CHECK(verdict->unwatched == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;
    char root[STAGE_PATH];

    stage_open(data, size);
    stage_path(root, "t");
    model = model_new(root);
    other_count = 0;
    open_notifier();
    options.mask = CHANGES;
    options.flags = TN_WATCH_TREE;
    options.data = model;
    CHECK(tn_watch_add(notifier, root, &options, NULL) == 0);
    stage.between = take8(&stage.input) & 1;
    play();
    rest();
    unsigned directories = compare(model_root(model), root);
    check_verdict();
    if (size % 2) {
        CHECK(tn_watch_each(notifier, NULL, end_other, NULL) == 0);
    } else {
        stage_delete_all(); /* the stream ends every watch */
        directories = 0;
    }
    rest();
    check_watches(directories);
    check_verdict();
    tn_notifier_free(notifier);
    tn_processor_unref(processor);
    model_free(model);
    stage_close();
    return 0;
}
