#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tnotify/tnotify.h>

#include "files.h"
#include "notifier.h"
#include "told.h"
#include "tree.h"

enum { LABELS = 32, ADDS = 8, BLOCKS = 16, SETTLE_MS = 30000, WATCHED = 256 };

static const uint32_t whole_mask = IN_CREATE | IN_DELETE | IN_MOVE;

struct add {
    struct told *told;
    struct tree *tree;
    tn_wd wd;
    uint64_t sequence; /* of its last event */
};

struct label {
    const char *name;
    uint64_t key;
};

struct block {
    const struct line *line;
    int call;
    uint64_t left; /* calls up to the one that it stands before; 0: it was run */
};

static const struct script *script;
static struct tn__source *source;
static struct tn_notifier *notifier;
static struct tn_processor *processor;
static struct add adds[ADDS];
static struct label labels[LABELS];
static struct block blocks[BLOCKS];
static size_t add_count, label_count, block_count;
static bool is_unchecked, is_late;
static bool is_settling; /* the next marker is the settle's own, which counts for no block */

static bool is_joined(const struct tn_event *event)
{
    size_t length = strlen(event->path);
    const char *rest = event->pathname + length;

    if (strncmp(event->pathname, event->path, length) != 0)
        return false;
    return event->name ? *rest == '/' && strcmp(rest + 1, event->name) == 0 : !*rest;
}

static int keep(const struct tn_event *event, void *unused)
{
    struct add *add = event->data;
    const char *wrong = NULL;

    (void)unused;
    if (!event->read_ns || event->sequence <= (add ? add->sequence : 0))
        wrong = "its sequence or time";
    else if (add && event->root != add->wd)
        wrong = "its root";
    else if (add && !is_joined(event))
        wrong = event->pathname;
    if (add)
        add->sequence = event->sequence;
    told_keep(add ? add->told : told_list("notifier"), event, wrong);
    if (add)
        tree_apply(add->tree, event);
    return 0;
}

/* The blocks that stand before this call. One call at a time: nobody else has a thread, but the
 * one that places an add's watches while its caller waits. */
static void run_blocks(int call)
{
    for (size_t i = 0; i < block_count; i++) {
        struct block *block = &blocks[i];
        if (block->call != call || block->left == 0 || --block->left > 0)
            continue;
        for (const struct line *line = block->line + 1; line < script->lines + block->line->end;
             line++)
            line->verb->run(line);
    }
}

/* Who held the lock lets go of it in any case. */
static bool let_go(void)
{
    bool held = false;

    for (size_t i = 0; i < block_count; i++)
        held = held || (blocks[i].call == CALL_BARRIER && blocks[i].left);
    for (size_t i = 0; i < block_count; i++)
        if (blocks[i].call == CALL_BARRIER && blocks[i].left) {
            script_tell(blocks[i].line, "no barrier came");
            blocks[i].left = 1;
            is_late = true;
        }
    run_blocks(CALL_BARRIER);
    return held;
}

static void before_call(void *unused, enum tn__replay_call call)
{
    (void)unused;
    if (is_settling && call == TN__REPLAY_MARK)
        is_settling = false;
    else
        run_blocks((int)call);
}

int __real_openat(int fd, const char *path, int flags, mode_t mode);
int __wrap_openat(int fd, const char *path, int flags, ...) __attribute__((used));

/* The lookup that waits for whoever holds a directory's lock: what that one does comes before. */
int __wrap_openat(int fd, const char *path, int flags, ...)
{
    mode_t mode = 0;

    if (flags & O_CREAT) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if (strncmp(path, ".tnotify-barrier-", strlen(".tnotify-barrier-")) == 0)
        run_blocks(CALL_BARRIER);
    return __real_openat(fd, path, flags, mode);
}

static void check(const struct line *line, int result)
{
    if (result < 0)
        script_fail(line, 1, "%s: %s", line->verb->name, tn_strerror(result));
}

void stage_open(const struct script *whole, uint32_t move_timeout_ms, bool unchecked)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    script = whole;
    is_unchecked = unchecked;
    files_open();
    ops.process_default = keep;
    options.move_timeout_ms = move_timeout_ms;
    if (tn_processor_new(&ops, NULL, &processor) < 0 || tn__source_new_replay(&source) < 0)
        exit(2);
    options.processor = processor;
    tn__replay_hook(source, before_call, NULL);
    if (tn__notifier_new_with(&options, source, &notifier) < 0)
        exit(2);
}

static uint64_t key_of_path(const struct line *line, const char *path)
{
    uint64_t key = tn__replay_key_of(source, files_path(path));

    if (!key)
        script_fail(line, 1, "%s: no watch stands on \"%s\" now", line->verb->name, path);
    return key;
}

/* A path, "@" and a label, or "@" and the key itself. */
static uint64_t key_of(const struct line *line, const char *object)
{
    if (*object != '@')
        return key_of_path(line, object);
    for (size_t i = label_count; i-- > 0;)
        if (strcmp(labels[i].name, object + 1) == 0)
            return labels[i].key;
    if (!script_number(object + 1))
        script_fail(line, 2, "\"%s\" is no label", object);
    return script_number(object + 1);
}

void stage_label(const struct line *line)
{
    if (label_count == LABELS)
        script_fail(line, 2, "more than %d labels", LABELS);
    labels[label_count++] =
        (struct label){.name = line->words[0], .key = key_of_path(line, line->words[1])};
}

void stage_record(const struct line *line)
{
    const char *name = NULL;
    uint32_t cookie = 0;

    for (unsigned i = 2; i < line->count; i++) {
        if (strncmp(line->words[i], "cookie=", 7) == 0)
            cookie = (uint32_t)script_number(line->words[i] + 7);
        else
            name = line->words[i];
    }
    check(line, tn__replay_push(source, key_of(line, line->words[0]), script_mask(line->words[1]),
                                cookie, name));
}

void stage_overflow(const struct line *line)
{
    check(line, tn__replay_push(source, TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL));
}

/* add PATH FLAGS MASK [as NAME] */
void stage_add(const struct line *line)
{
    struct add *add = &adds[add_count];
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;

    if (add_count == ADDS)
        script_fail(line, 2, "more than %d adds", ADDS);
    if (line->count == 4 || (line->count == 5 && strcmp(line->words[3], "as") != 0))
        script_fail(line, 2, "add: \"as\" and a name are wanted");
    options.flags = script_flags(line->words[1]);
    options.mask = script_mask(line->words[2]);
    options.data = add;
    bool is_whole = !is_unchecked && (options.flags & TN_WATCH_TREE) == TN_WATCH_TREE &&
                    (options.mask & whole_mask) == whole_mask;
    add->told = told_list(line->count == 5 ? line->words[4] : "");
    add->tree = tree_new(line->words[0], is_whole, options.flags);
    add_count++;
    check(line, tn_watch_add(notifier, line->words[0], &options, &add->wd));
}

void stage_unwatch(const struct line *line)
{
    tn_wd wd;

    check(line, tn_watch_find(notifier, line->words[0], &wd));
    check(line, tn_watch_remove(notifier, wd, line->count > 1 ? TN_REMOVE_RECURSIVE : 0));
}

void stage_fail(const struct line *line)
{
    int call = script_call(line->words[0]);

    if (call == CALL_BARRIER)
        script_fail(line, 2, "fail: a barrier does not fail");
    tn__replay_fail(source, (enum tn__replay_call)call, script_errno(line->words[1]),
                    (unsigned)script_number(line->words[2]));
}

void stage_next_key(const struct line *line)
{
    tn__replay_next_key(source, key_of(line, line->words[0]));
}

void stage_before(const struct line *line)
{
    if (block_count == BLOCKS)
        script_fail(line, 2, "more than %d blocks", BLOCKS);
    blocks[block_count++] = (struct block){.line = line,
                                           .call = script_call(line->words[0]),
                                           .left = script_number(line->words[1])};
}

void stage_read(const struct line *line)
{
    int result;

    told_expect(line, NULL, 0);
    do {
        result = tn_notifier_read_events(notifier);
        tn_notifier_process_events(notifier);
    } while (result > 0 || let_go());
    if (result < 0 && result != -EAGAIN)
        check(line, result);
}

void stage_settle(const struct line *line)
{
    told_expect(line, NULL, 0);
    is_settling = true;
    check(line, tn_notifier_settle(notifier, SETTLE_MS));
}

void stage_anything(const struct line *line)
{
    (void)line;
    told_forget();
}

struct paths {
    const char *paths[WATCHED]; /* copies, or the script's */
    size_t count;
};

static void add_path(struct paths *paths, const char *path)
{
    if (paths->count == WATCHED)
        exit(2);
    paths->paths[paths->count++] = path;
}

static int keep_path(tn_wd wd, const char *path, void *paths)
{
    (void)wd;
    add_path(paths, strdup(path));
    return 0;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* How many different objects they are: the source has no watch on anything else. */
static size_t count_objects(const struct line *line, const struct paths *paths)
{
    uint64_t keys[WATCHED];
    size_t count = 0;

    for (size_t i = 0; i < paths->count; i++) {
        uint64_t key = key_of_path(line, paths->paths[i]);
        size_t same = 0;
        while (same < count && keys[same] != key)
            same++;
        if (same == count)
            keys[count++] = key;
    }
    return count;
}

/* Each as often as watches stand on it. */
void stage_watched(const struct line *line)
{
    struct paths wanted = {.count = 0}, got = {.count = 0};
    size_t i = 0;

    for (; i < line->count; i++)
        add_path(&wanted, line->words[i]);
    tn_watch_each(notifier, NULL, keep_path, &got);
    qsort(wanted.paths, wanted.count, sizeof(*wanted.paths), compare_paths);
    qsort(got.paths, got.count, sizeof(*got.paths), compare_paths);
    bool same = wanted.count == got.count;
    for (i = 0; same && i < got.count; i++)
        same = strcmp(wanted.paths[i], got.paths[i]) == 0;
    if (!same) {
        script_tell(line, "what is watched differs:");
        for (i = 0; i < wanted.count; i++)
            fprintf(stderr, "    expected  %s\n", wanted.paths[i]);
        for (i = 0; i < got.count; i++)
            fprintf(stderr, "    got       %s\n", got.paths[i]);
        exit(1);
    }
    size_t watches = tn__replay_watches(source);
    size_t objects = is_unchecked ? watches : count_objects(line, &got);
    if (objects != watches)
        script_fail(line, 1, "the source watches %zu objects, and %zu are wanted", watches,
                    objects);
    for (i = 0; i < got.count; i++)
        free((void *)got.paths[i]);
}

void stage_stats(const struct line *line)
{
    struct tn_stats stats = TN_STATS_INIT;
    const struct {
        const char *name;
        const uint64_t *value;
    } known[] = {{"read", &stats.read},           {"delivered", &stats.delivered},
                 {"synthetic", &stats.synthetic}, {"suppressed", &stats.suppressed},
                 {"dropped", &stats.dropped},     {"overflows", &stats.overflows},
                 {"unwatched", &stats.unwatched}, {"watches", &stats.watches},
                 {"scans", &stats.scans},         {"moves", &stats.moves}};
    const uint64_t wanted = script_number(line->words[1]);

    check(line, tn_notifier_get_stats(notifier, &stats));
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (strcmp(known[i].name, line->words[0]) != 0)
            continue;
        if (*known[i].value != wanted)
            script_fail(line, 1, "%s: expected %" PRIu64 ", got %" PRIu64, known[i].name, wanted,
                        *known[i].value);
        return;
    }
    script_fail(line, 2, "\"%s\" is no counter", line->words[0]);
}

bool stage_close(const struct line *last)
{
    bool is_right = !is_late;

    stage_settle(last);
    told_expect(last, NULL, 0);
    for (size_t i = 0; i < block_count; i++) {
        if (blocks[i].left)
            script_tell(blocks[i].line, "this never came");
        is_right = is_right && !blocks[i].left;
    }
    for (size_t i = 0; i < add_count; i++)
        if (!tree_check(adds[i].tree, notifier, adds[i].wd)) {
            script_tell(last, "at the end: the model of an add is not the tree");
            is_right = false;
        }
    tn_notifier_free(notifier);
    tn_processor_unref(processor);
    for (size_t i = 0; i < add_count; i++)
        tree_free(adds[i].tree);
    told_done();
    return is_right;
}
