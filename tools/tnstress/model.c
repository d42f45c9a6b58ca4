#include "model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "trace.h"

enum { BUCKETS = 1 << 16, FAULTS_TOLD = 20, PATH_SIZE = 8192 };

/* A half of a move whose other half has not been told. */
struct leaving {
    struct leaving *next;
    struct entry *entry, *parent;
    uint32_t cookie;
    char path[PATH_SIZE];
};

struct model {
    struct entry *buckets[BUCKETS];
    struct entry *root;
    struct entry *dead; /* freed at rest, because a half may still refer to it */
    struct leaving *leaving;
    struct verdict verdict;
    uint64_t faults, events, synthetic, gaps, sequence;
    bool expects_all, had_gap, in_gap;
    size_t root_length;
    char root_path[];
};

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory) {
        fputs("tnstress: no memory\n", stderr);
        exit(2);
    }
    return memory;
}

static struct entry **bucket_of(struct model *model, const struct entry *parent, const char *name)
{
    uint64_t hash = (uintptr_t)parent * UINT64_C(0x9e3779b97f4a7c15);

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return &model->buckets[(hash ^ (hash >> 29)) % BUCKETS];
}

static void link_entry(struct model *model, struct entry *parent, struct entry *entry)
{
    struct entry **bucket = bucket_of(model, parent, entry->name);

    entry->parent = parent;
    entry->chain = *bucket;
    *bucket = entry;
    entry->previous = NULL;
    entry->next = parent->child;
    if (entry->next)
        entry->next->previous = entry;
    parent->child = entry;
}

static void unlink_entry(struct model *model, struct entry *entry)
{
    struct entry **bucket = bucket_of(model, entry->parent, entry->name);

    while (*bucket != entry)
        bucket = &(*bucket)->chain;
    *bucket = entry->chain;
    if (entry->previous)
        entry->previous->next = entry->next;
    else if (entry->parent)
        entry->parent->child = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    entry->parent = NULL;
}

static struct entry *new_entry(const char *name, bool is_dir)
{
    struct entry *entry = allocate(sizeof(*entry) + strlen(name) + 1);

    strcpy(entry->name, name);
    entry->is_dir = is_dir;
    return entry;
}

/* The entry is linked nowhere. */
static void bury(struct model *model, struct entry *entry)
{
    while (entry->child) {
        struct entry *child = entry->child;
        unlink_entry(model, child);
        bury(model, child);
    }
    entry->chain = model->dead;
    model->dead = entry;
}

struct model *model_new(const char *root)
{
    size_t length = strlen(root);
    struct model *model = allocate(sizeof(*model) + length + 1);

    memcpy(model->root_path, root, length + 1);
    model->root_length = length;
    model->root = new_entry("", true);
    return model;
}

void model_rest(struct model *model)
{
    if (model->in_gap)
        model_fault(model, &model->verdict.missed, "a gap has begun and not ended",
                    model->root_path);
    model->had_gap = model->in_gap = false;
    while (model->leaving) {
        struct leaving *leaving = model->leaving;
        model->leaving = leaving->next;
        bury(model, leaving->entry);
        free(leaving);
    }
    while (model->dead) {
        struct entry *entry = model->dead;
        model->dead = entry->chain;
        free(entry);
    }
}

void model_expect_all(struct model *model, bool expects_all)
{
    model->expects_all = expects_all;
}

bool model_had_gap(const struct model *model)
{
    return model->had_gap;
}

bool model_is_lossy(const struct model *model)
{
    return model->had_gap && !model->expects_all;
}

static void forget_files(struct model *model, struct entry *directory)
{
    for (struct entry *entry = directory->child, *next; entry; entry = next) {
        next = entry->next;
        if (entry->is_dir) {
            forget_files(model, entry);
        } else {
            unlink_entry(model, entry);
            bury(model, entry);
        }
    }
}

void model_forget_files(struct model *model)
{
    forget_files(model, model->root);
}

uint64_t model_gaps(const struct model *model)
{
    return model->gaps;
}

void model_clear(struct model *model)
{
    model->in_gap = false;
    while (model->root->child) {
        struct entry *child = model->root->child;
        unlink_entry(model, child);
        bury(model, child);
    }
    model_rest(model);
}

void model_free(struct model *model)
{
    if (!model)
        return;
    bury(model, model->root);
    model_rest(model);
    free(model);
}

struct entry *model_root(struct model *model)
{
    return model->root;
}

const char *model_root_path(const struct model *model)
{
    return model->root_path;
}

uint64_t model_events(const struct model *model)
{
    return model->events;
}

uint64_t model_synthetic(const struct model *model)
{
    return model->synthetic;
}

struct verdict *model_verdict(struct model *model)
{
    return &model->verdict;
}

void model_fault(struct model *model, uint64_t *counter, const char *what, const char *path)
{
    char line[PATH_SIZE + 256];

    ++*counter;
    snprintf(line, sizeof(line), "fault: %s: %s", what, path);
    trace_note(line);
    if (++model->faults <= FAULTS_TOLD)
        fprintf(stderr, "tnstress: %s: %s\n", what, path);
}

struct entry *model_child(struct model *model, struct entry *parent, const char *name)
{
    struct entry *entry = *bucket_of(model, parent, name);

    while (entry && (entry->parent != parent || strcmp(entry->name, name) != 0))
        entry = entry->chain;
    return entry;
}

struct entry *model_find(struct model *model, const char *path)
{
    struct entry *entry = model->root;
    char name[256];

    if (strncmp(path, model->root_path, model->root_length) != 0)
        return NULL;
    path += model->root_length;
    while (entry && *path == '/') {
        size_t length = strcspn(++path, "/");
        if (length == 0 || length >= sizeof(name))
            return NULL;
        memcpy(name, path, length);
        name[length] = '\0';
        entry = model_child(model, entry, name);
        path += length;
    }
    return *path ? NULL : entry;
}

void model_keep_file(struct model *model, const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    char *parent = strndup(path, (size_t)(name - 1 - path));
    struct entry *directory = parent ? model_find(model, parent) : NULL;

    free(parent);
    if (!directory)
        return;
    struct entry *entry = new_entry(name, false);
    entry->closed = true;
    link_entry(model, directory, entry);
}

static void remove_entry(struct model *model, struct entry *entry, const struct tn_event *event)
{
    if (model_is_lossy(model))
        forget_files(model, entry);
    if (entry->child)
        model_fault(model, &model->verdict.missed, "what was below it was not told to go",
                    event->pathname);
    unlink_entry(model, entry);
    bury(model, entry);
}

static void created(struct model *model, struct entry *directory, const struct tn_event *event)
{
    struct entry *entry = model_child(model, directory, event->name);
    bool is_dir = event->mask & IN_ISDIR;

    if (entry && model_is_lossy(model) && !entry->is_dir) {
        remove_entry(model, entry, event);
    } else if (entry) {
        model_fault(model, &model->verdict.duplicated, "came twice", event->pathname);
        if (entry->is_dir == is_dir)
            return;
        remove_entry(model, entry, event);
    }
    link_entry(model, directory, new_entry(event->name, is_dir));
}

static struct entry *expect(struct model *model, struct entry *directory,
                            const struct tn_event *event)
{
    struct entry *entry = model_child(model, directory, event->name);

    if (!entry)
        model_fault(model, &model->verdict.missed, "went, but had not come", event->pathname);
    else if (entry->is_dir != !!(event->mask & IN_ISDIR))
        model_fault(model, &model->verdict.missed, "went as another type", event->pathname);
    return entry;
}

static void deleted(struct model *model, struct entry *directory, const struct tn_event *event)
{
    struct entry *entry = expect(model, directory, event);

    if (entry)
        remove_entry(model, entry, event);
}

static void left(struct model *model, struct entry *directory, const struct tn_event *event)
{
    struct entry *entry = expect(model, directory, event);

    if (!entry)
        return;
    unlink_entry(model, entry);
    if (!event->cookie) {
        bury(model, entry);
        return;
    }
    struct leaving *leaving = allocate(sizeof(*leaving));
    leaving->entry = entry;
    leaving->parent = directory;
    leaving->cookie = event->cookie;
    snprintf(leaving->path, sizeof(leaving->path), "%s", event->pathname);
    leaving->next = model->leaving;
    model->leaving = leaving;
}

static struct leaving *take_leaving(struct model *model, uint32_t cookie)
{
    struct leaving **link = &model->leaving;

    while (*link && (*link)->cookie != cookie)
        link = &(*link)->next;
    struct leaving *leaving = *link;
    if (leaving)
        *link = leaving->next;
    return leaving;
}

static size_t path_of(const struct model *model, const struct entry *entry, char *path)
{
    if (entry == model->root)
        return (size_t)sprintf(path, "%s", model->root_path);
    if (!entry->parent)
        return (size_t)sprintf(path, "?/%s", entry->name);
    size_t length = path_of(model, entry->parent, path);
    return length + (size_t)sprintf(path + length, "/%s", entry->name);
}

/* The directory that a file left may itself have moved before the file's arrival. */
static bool is_source(const struct model *model, const struct leaving *leaving, const char *source)
{
    char path[PATH_SIZE];

    if (!source)
        return false;
    if (strcmp(source, leaving->path) == 0)
        return true;
    size_t length = path_of(model, leaving->parent, path);
    sprintf(path + length, "/%s", leaving->entry->name);
    return strcmp(source, path) == 0;
}

static void arrived(struct model *model, struct entry *directory, const struct tn_event *event)
{
    struct leaving *leaving = event->cookie ? take_leaving(model, event->cookie) : NULL;
    struct entry *stood = model_child(model, directory, event->name);
    struct entry *entry = new_entry(event->name, event->mask & IN_ISDIR);

    if (stood)
        remove_entry(model, stood, event);
    entry->closed = true;
    link_entry(model, directory, entry);
    if (event->cookie && !leaving)
        model_fault(model, &model->verdict.missed, "arrived with a cookie, but had not left",
                    event->pathname);
    if (!leaving)
        return;
    if (!is_source(model, leaving, event->src_pathname))
        model_fault(model, &model->verdict.wrong_path, "wrong source path", event->pathname);
    if (leaving->entry->is_dir != entry->is_dir)
        model_fault(model, &model->verdict.missed, "arrived as another type", event->pathname);
    entry->closed = leaving->entry->closed;
    while (leaving->entry->child) {
        struct entry *child = leaving->entry->child;
        unlink_entry(model, child);
        link_entry(model, entry, child);
    }
    bury(model, leaving->entry);
    free(leaving);
}

static void closed(struct model *model, struct entry *directory, const struct tn_event *event)
{
    struct entry *entry = model_child(model, directory, event->name);

    /* A file that was unlinked or moved away while it was open is told under its last name. */
    if (entry)
        entry->closed = true;
}

static void check_stream(struct model *model, const struct tn_event *event)
{
    model->events++;
    model->synthetic += !!(event->flags & TN_EVENT_SYNTHETIC);
    if (event->sequence <= model->sequence)
        model_fault(model, &model->verdict.duplicated, "out of order",
                    event->pathname ? event->pathname : "-");
    model->sequence = event->sequence;
}

/* A deleted file, or one in a deleted directory, is written and closed after that. */
static bool is_late(const struct tn_event *event)
{
    return event->flags & TN_EVENT_PATH_UNKNOWN &&
           !(event->mask & (IN_CREATE | IN_DELETE | IN_MOVE));
}

static void apply_gap(struct model *model, const struct tn_event *event)
{
    if (event->flags & TN_EVENT_GAP_BEGIN) {
        model->had_gap = model->in_gap = true;
    } else if (event->flags & TN_EVENT_GAP_END) {
        if (!model->in_gap)
            model_fault(model, &model->verdict.missed, "a gap has ended and not begun",
                        model->root_path);
        model->in_gap = false;
        model->gaps++;
    }
}

void model_apply(struct model *model, const struct tn_event *event)
{
    if (event->mask & IN_Q_OVERFLOW) {
        apply_gap(model, event);
        return;
    }
    check_stream(model, event);
    if (model_is_lossy(model) && !(event->mask & IN_ISDIR))
        return;
    if (event->flags & TN_EVENT_UNWATCHED)
        model_fault(model, &model->verdict.unwatched, "not watched", event->pathname);
    if (!event->name || event->flags & TN_EVENT_UNWATCHED)
        return;
    struct entry *directory = model_find(model, event->path);
    if (!directory || !directory->is_dir) {
        if (is_late(event))
            return;
        model_fault(model, &model->verdict.wrong_path, tn_mask_name(event->mask), event->pathname);
        return;
    }
    if (event->mask & IN_CREATE)
        created(model, directory, event);
    else if (event->mask & IN_DELETE)
        deleted(model, directory, event);
    else if (event->mask & IN_MOVED_FROM)
        left(model, directory, event);
    else if (event->mask & IN_MOVED_TO)
        arrived(model, directory, event);
    else if (event->mask & IN_CLOSE_WRITE)
        closed(model, directory, event);
}
