/*
 * The whole reader on any stream: what the kernel tells of changes, what it
 * never tells, records that are lost or cut, calls of the source that fail,
 * and watches that come and go, also inside callbacks. Every event is well
 * formed and in its place, no watch is told after its end, and all ends.
 */
#include <errno.h>
#include <sys/inotify.h>
#include <tnotify/tnotify.h>

#include "notifier.h"
#include "stage.h"

enum { ADDS = 32, WDS = 4096, PATHS = 4096, EVENTS = IN_ALL_EVENTS | IN_UNMOUNT | IN_IGNORED };

/* One add, as its `data`. */
struct add {
    tn_wd root;    /* 0: it failed */
    uint32_t mask; /* all that was ever asked for */
    enum tn_order order;
    bool filtered; /* by "/c$" */
    unsigned released;
    uint64_t last;
};

static struct state {
    struct tn_notifier *notifier;
    struct tn_processor *each, *batch;
    struct tn_filter *filter;
    struct add adds[ADDS];
    unsigned add_count;
    bool odd_masks; /* records of several events were pushed */
    bool calls;     /* callbacks make calls */
    bool over;      /* the source has ended */
    bool was_filled;
    uint64_t last; /* of the notifier's domain */
    uint64_t wd_last[WDS];
    bool wd_ended[WDS], wd_removed[WDS];
    struct {
        uint64_t hash, last;
    } paths[PATHS];
} state;

static void in_order(uint64_t *last, uint64_t sequence)
{
    CHECK(sequence > *last);
    *last = sequence;
}

static uint64_t hash_path(const struct add *add, const char *path)
{
    uint64_t hash = (uintptr_t)add;

    while (*path)
        hash = (hash ^ (unsigned char)*path++) * UINT64_C(0x100000001b3);
    return hash | 1;
}

static void check_order(struct add *add, const struct tn_event *event)
{
    size_t wd = (size_t)event->wd % WDS;
    uint64_t hash = hash_path(add, event->pathname);

    switch (add->order) {
    case TN_ORDER_NOTIFIER:
        in_order(&state.last, event->sequence);
        break;
    case TN_ORDER_DIRECTORY:
        in_order(&state.wd_last[wd], event->sequence);
        break;
    case TN_ORDER_PATH:
        if (state.paths[hash % PATHS].hash == hash)
            CHECK(event->sequence > state.paths[hash % PATHS].last);
        state.paths[hash % PATHS].hash = hash;
        state.paths[hash % PATHS].last = event->sequence;
        break;
    case TN_ORDER_NONE:
        break;
    default:
        in_order(&add->last, event->sequence);
    }
}

static void check_path(const struct tn_event *event)
{
    CHECK(event->path && event->pathname);
    size_t length = strlen(event->path);
    if (!event->name) {
        CHECK(strcmp(event->path, event->pathname) == 0);
        return;
    }
    CHECK(*event->name && !strchr(event->name, '/'));
    CHECK(strncmp(event->path, event->pathname, length) == 0);
    CHECK(event->pathname[length] == '/');
    CHECK(strcmp(event->pathname + length + 1, event->name) == 0);
}

static void check_mask(const struct add *add, const struct tn_event *event)
{
    const uint32_t bits = event->mask & EVENTS;

    if (event->flags & TN_EVENT_UNWATCHED) {
        CHECK(event->error < 0 && event->mask == IN_ISDIR);
        return;
    }
    CHECK(event->error == 0);
    CHECK(bits & (add->mask | IN_UNMOUNT | IN_IGNORED));
    CHECK(!event->src_pathname || event->mask & IN_MOVED_TO);
    CHECK(!event->cookie || event->mask & IN_MOVE);
    CHECK(state.odd_masks || !(bits & (bits - 1)));
}

static void check_filter(const struct add *add, const struct tn_event *event)
{
    size_t length = strlen(event->pathname);

    if (add->filtered && !(event->mask & IN_IGNORED))
        CHECK(length < 2 || strcmp(event->pathname + length - 2, "/c") != 0);
}

static void check_event(const struct tn_event *event)
{
    struct add *add = event->data;
    size_t wd = (size_t)event->wd % WDS;

    CHECK(event->sequence > 0 && event->read_ns > 0);
    if (event->wd == -1) {
        CHECK(event->mask == IN_Q_OVERFLOW && event->root == -1 && !add);
        CHECK(!event->path && !event->name && !event->pathname);
        in_order(&state.last, event->sequence);
        return;
    }
    CHECK(event->wd > 0 && add && add->released == 0);
    CHECK(event->root == add->root && event->wd >= add->root);
    CHECK(!state.wd_ended[wd] && (!state.wd_removed[wd] || event->mask & IN_IGNORED));
    state.wd_ended[wd] = event->mask & IN_IGNORED && !state.odd_masks;
    check_path(event);
    check_mask(add, event);
    check_filter(add, event);
    check_order(add, event);
}

static void released(void *data)
{
    struct add *add = data;

    CHECK(add->released++ == 0);
}

/* A descriptor of an add: its root's, or one that may be below. */
static tn_wd pick_wd(void)
{
    unsigned choice = take8(&stage.input);
    const struct add *add = &state.adds[state.add_count ? choice % state.add_count : 0];

    return add->root + take8(&stage.input) % 4;
}

static void add_watch(void)
{
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;
    char path[STAGE_PATH];
    uint8_t how = take8(&stage.input), more = take8(&stage.input);

    if (state.add_count == ADDS)
        return;
    struct add *add = &state.adds[state.add_count++];
    if (how & 0x80)
        stage_take_path(path);
    else
        stage_path(path, "t");
    options.mask = how & 0x40 ? take32(&stage.input) & IN_ALL_EVENTS : IN_ALL_EVENTS;
    options.mask |= more & 0x40 ? IN_ONESHOT : 0;
    options.mask |= more & 0x80 ? IN_EXCL_UNLINK : 0;
    options.flags = how & TN_WATCH_TREE;
    options.order = (enum tn_order)(how >> 2 & 7);
    options.processor = more & 1 ? state.batch : NULL;
    options.filter = more & 2 ? state.filter : NULL;
    options.data = add;
    options.release = released;
    *add = (struct add){.mask = options.mask, .order = options.order, .filtered = more & 2};
    int result = tn_watch_add(state.notifier, path, &options, &add->root);
    CHECK(result == 0 || add->root == 0);
    CHECK(result == 0 || add->released == 0);
}

static void update_watch(void)
{
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;
    uint32_t fields = take8(&stage.input) & (TN_UPDATE_MASK | TN_UPDATE_PROCESSOR);
    uint8_t how = take8(&stage.input);
    tn_wd wd = pick_wd();
    struct tn_watch_info info = TN_WATCH_INFO_INIT;

    fields |= how & 1 ? TN_UPDATE_AUTO_ADD : 0;
    fields |= how & 2 ? TN_UPDATE_RECURSIVE : 0;
    options.flags = how & 4 ? TN_WATCH_AUTO_ADD : 0;
    options.processor = how & 8 ? state.batch : NULL;
    options.mask = (take16(&stage.input) & IN_ALL_EVENTS) | (how & 16 ? IN_MASK_ADD : 0);
    if (tn_watch_get_info(state.notifier, wd, &info) == 0) {
        struct add *add = info.data;
        add->mask |= options.mask;
    }
    tn_watch_update(state.notifier, wd, fields, &options);
}

static void remove_watch(bool in_callback)
{
    uint32_t flags = take8(&stage.input) & (TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC);
    tn_wd wd = pick_wd();
    int result = tn_watch_remove(state.notifier, wd, flags);

    CHECK(result == 0 || result == -ENOENT || (result == -EDEADLK && in_callback));
    state.wd_removed[(size_t)wd % WDS] |= result != -ENOENT;
    state.wd_ended[(size_t)wd % WDS] |= result != -ENOENT && flags & TN_REMOVE_SYNC;
}

static int process(const struct tn_event *event, void *unused)
{
    (void)unused;
    check_event(event);
    if (!state.calls || input_is_empty(&stage.input))
        return 0;
    switch (take8(&stage.input) % 16) {
    case 0:
        add_watch();
        break;
    case 1:
        update_watch();
        break;
    case 2:
        remove_watch(true);
        break;
    case 3:
        stage_change();
        break;
    case 4:
        return -EIO;
    case 5:
        return TN_STOP;
    default:
        break;
    }
    return 0;
}

static int process_batch(const struct tn_event *const *events, size_t count, void *unused)
{
    (void)unused;
    CHECK(count > 0);
    for (size_t i = 0; i < count; i++)
        check_event(events[i]);
    return 0;
}

static void push_record(void)
{
    uint8_t how = take8(&stage.input);
    uint32_t mask = UINT32_C(1) << (how & 15);
    char name[320] = "";

    if (how & 0x10)
        mask |= IN_ISDIR;
    if ((how & 0xe0) == 0xe0) {
        mask = take32(&stage.input);
        state.odd_masks = true;
    }
    uint64_t key = stage_take_key();
    uint8_t cookie = take8(&stage.input);
    stage_take_name(name, sizeof(name));
    CHECK(tn__replay_push(stage.replay, key, mask, cookie, *name ? name : NULL) == 0);
}

/* Fills a block of the stream to its last byte. */
static void fill_block(void)
{
    uint64_t key = stage_take_key();

    if (state.was_filled)
        return;
    state.was_filled = true;
    for (unsigned i = 0; i < 65536 / sizeof(struct inotify_event); i++)
        CHECK(tn__replay_push(stage.replay, key, IN_ATTRIB, 0, NULL) == 0);
}

static void spoil_next_read(void)
{
    stage.tail = take8(&stage.input);
    take_bytes(&stage.input, stage.garbage, stage.tail);
    /* A name that leads elsewhere would take the machine's files into the tree. */
    for (size_t i = 0; i < stage.tail; i++)
        if (stage.garbage[i] == '/' || stage.garbage[i] == '.')
            stage.garbage[i] = 'x';
    state.odd_masks = true;
}

static void fail_calls(void)
{
    static const int errors[] = {ENOSPC, ENOMEM, EACCES, ENOENT};
    uint8_t how = take8(&stage.input);

    tn__replay_fail(stage.replay, (enum tn__replay_call)(how % TN__REPLAY_CALLS),
                    errors[how >> 2 & 3], how >> 4 & 7);
}

static int look_at(tn_wd wd, const char *path, void *unused)
{
    char *again = NULL;

    (void)unused;
    CHECK(wd > 0 && path);
    if (tn_watch_path_dup(state.notifier, wd, &again) == 0)
        CHECK(strcmp(again, path) == 0);
    free(again);
    return 0;
}

static void look(void)
{
    char path[STAGE_PATH];
    tn_wd wd = 0;
    struct tn_watch_info info = TN_WATCH_INFO_INIT;

    stage_take_path(path);
    int result = tn_watch_find(state.notifier, path, &wd);
    CHECK(result == (wd > 0 ? 0 : -ENOENT));
    if (result == 0 && tn_watch_get_info(state.notifier, wd, &info) == 0)
        CHECK(info.wd == wd && ((struct add *)info.data)->root == info.root);
    CHECK(tn_watch_each(state.notifier, NULL, look_at, NULL) == 0);
}

static void read_all(void)
{
    int result;

    do {
        result = tn_notifier_read_events(state.notifier);
        tn_notifier_process_events(state.notifier);
    } while (result > 0 || result == -ENOBUFS);
}

static void step(void)
{
    switch (take8(&stage.input) & 31) {
    default:
        stage_change();
        break;
    case 6:
        stage.silent = true;
        stage_change();
        stage.silent = false;
        break;
    case 7:
    case 8:
    case 9:
        push_record();
        break;
    case 10:
        spoil_next_read();
        break;
    case 11:
        stage.cut = take16(&stage.input);
        break;
    case 12:
        stage.most = (size_t)take8(&stage.input) * 16;
        break;
    case 13:
        CHECK(tn__replay_push(stage.replay, TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL) == 0);
        break;
    case 14:
        fail_calls();
        break;
    case 15:
        tn__replay_next_key(stage.replay, 1 + take16(&stage.input) % 64);
        break;
    case 16:
    case 17:
    case 18:
        tn_notifier_read_events(state.notifier);
        break;
    case 19:
        tn_notifier_process_events(state.notifier);
        break;
    case 20:
        tn_notifier_settle(state.notifier, 0);
        break;
    case 21:
    case 22:
        add_watch();
        break;
    case 23:
        update_watch();
        break;
    case 24:
        remove_watch(false);
        break;
    case 25:
        tn_notifier_set_ignore(state.notifier, take8(&stage.input) & 1);
        break;
    case 26:
        look();
        break;
    case 27:
        fill_block();
        break;
    case 28:
        if (take8(&stage.input) == 0xe0) {
            tn__replay_end(stage.replay);
            state.over = true;
        }
        break;
    }
}

static void open_notifier(void)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_processor_ops batch_ops = TN_PROCESSOR_OPS_INIT;
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    uint8_t how = take8(&stage.input);

    memset(&state, 0, sizeof(state));
    ops.process_default = process;
    batch_ops.process_batch = process_batch;
    CHECK(tn_processor_new(&ops, NULL, &state.each) == 0);
    CHECK(tn_processor_new(&batch_ops, NULL, &state.batch) == 0);
    CHECK(tn_filter_new(&state.filter) == 0);
    CHECK(tn_filter_add_regex(state.filter, "/c$", 0) == 0);
    stage.between = how & 1;
    state.calls = how & 2;
    options.flags = how & 4 ? TN_NOTIFIER_COALESCE : 0;
    options.when_full = how & 8 ? TN_FULL_DROP : TN_FULL_BLOCK;
    options.queue_bytes = how & 16 ? 1 : 0;
    if (how & 32)
        CHECK(tn_executor_new_inline(&options.executor) == 0);
    options.processor = state.each;
    options.move_timeout_ms = TN_NEVER;
    CHECK(tn__notifier_new_with(&options, &stage.source, &state.notifier) == 0);
    tn_executor_unref(options.executor);
}

/* From here on the source is a good one. */
static void end_faults(void)
{
    for (int call = 0; call < TN__REPLAY_CALLS; call++)
        tn__replay_fail(stage.replay, (enum tn__replay_call)call, 0, 0);
    stage.most = 0;
    stage.cut = 0;
    stage.tail = 0;
    stage.input.at = stage.input.end;
}

static int end_watch(tn_wd wd, const char *path, void *unused)
{
    (void)path;
    (void)unused;
    CHECK(tn_watch_remove(state.notifier, wd, 0) == 0);
    return 0;
}

/* Without a watch nothing is left but what an overflow must not keep waiting. */
static void end_watches(void)
{
    struct tn_stats stats = TN_STATS_INIT;

    CHECK(tn_watch_each(state.notifier, NULL, end_watch, NULL) == 0);
    if (state.over)
        return;
    CHECK(tn__replay_push(stage.replay, TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL) == 0);
    read_all();
    stage_end_deleted();
    CHECK(tn_notifier_settle(state.notifier, 10000) == 0);
    CHECK(tn_notifier_get_stats(state.notifier, &stats) == 0);
    CHECK(stats.watches == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    stage_open(data, size);
    open_notifier();
    while (!input_is_empty(&stage.input)) {
        step();
        stage_end_deleted();
    }
    end_faults();
    if (size % 2)
        end_watches();
    else
        tn_notifier_stop(state.notifier, size % 4 ? TN_FINISH_DRAIN : TN_FINISH_DISCARD);
    tn_notifier_free(state.notifier);
    for (unsigned i = 0; i < state.add_count; i++)
        CHECK(state.adds[i].released == (state.adds[i].root > 0));
    tn_processor_unref(state.each);
    tn_processor_unref(state.batch);
    tn_filter_unref(state.filter);
    stage_close();
    return 0;
}
