#include "support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Paths that scratch() gave away, freed at the end. */
struct given {
    struct given *next;
    char path[];
};

static char *top;
static struct given *given;

struct tn_notifier *notifier;
struct recorder seen;

static void check(int result, const char *what, const char *path)
{
    cr_assert(result >= 0, "%s %s: %s", what, path, strerror(errno));
}

void stage_open(void)
{
    const char *base = getenv("TMPDIR");
    char made[PATH_MAX];

    snprintf(made, sizeof(made), "%s/tnotify-test-XXXXXX", base && *base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(made), "mkdtemp %s: %s", made, strerror(errno));
    top = realpath(made, NULL);
    cr_assert_not_null(top);
    check(chdir(top), "chdir", top);
}

void stage_close(void)
{
    notifier = tn_notifier_free(notifier);
    if (seen.processor)
        recorder_done(&seen);
    if (top && chdir("/") == 0)
        remove_tree(top);
    while (given) {
        struct given *next = given->next;
        free(given);
        given = next;
    }
    free(top);
    top = NULL;
}

const char *scratch(const char *path)
{
    struct given *whole = malloc(sizeof(*whole) + strlen(top) + strlen(path) + 2);

    cr_assert_not_null(whole);
    if (!*path || strcmp(path, ".") == 0)
        strcpy(whole->path, top);
    else
        sprintf(whole->path, "%s/%s", top, path);
    whole->next = given;
    given = whole;
    return whole->path;
}

static int keep(const struct tn_event *event, void *userdata)
{
    struct recorder *recorder = userdata;
    struct tn_event *copy;

    if (tn_event_dup(event, &copy) < 0)
        return -ENOMEM;
    pthread_mutex_lock(&recorder->lock);
    if (recorder->count == recorder->capacity) {
        recorder->capacity = recorder->capacity ? recorder->capacity * 2 : 64;
        recorder->events = reallocarray(recorder->events, recorder->capacity, sizeof(copy));
    }
    recorder->events[recorder->count++] = copy;
    pthread_mutex_unlock(&recorder->lock);
    return 0;
}

static void count_recorder_release(void *userdata)
{
    struct recorder *recorder = userdata;

    pthread_mutex_lock(&recorder->lock);
    recorder->released++;
    pthread_mutex_unlock(&recorder->lock);
}

void recorder_init(struct recorder *recorder)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    *recorder = (struct recorder){.lock = PTHREAD_MUTEX_INITIALIZER};
    ops.process_default = keep;
    ops.release = count_recorder_release;
    cr_assert_eq(tn_processor_new(&ops, recorder, &recorder->processor), 0);
}

void recorder_done(struct recorder *recorder)
{
    recorder_clear(recorder);
    free(recorder->events);
    recorder->events = NULL;
    recorder->capacity = 0;
    recorder->processor = tn_processor_unref(recorder->processor);
}

void recorder_clear(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    for (size_t i = 0; i < recorder->count; i++)
        tn_event_free(recorder->events[i]);
    recorder->count = 0;
    pthread_mutex_unlock(&recorder->lock);
}

size_t recorder_count(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    size_t count = recorder->count;
    pthread_mutex_unlock(&recorder->lock);
    return count;
}

const struct tn_event *recorder_event(struct recorder *recorder, size_t i)
{
    pthread_mutex_lock(&recorder->lock);
    const struct tn_event *event = i < recorder->count ? recorder->events[i] : NULL;
    pthread_mutex_unlock(&recorder->lock);
    cr_assert_not_null(event, "no event %zu", i);
    return event;
}

const struct tn_event *recorder_find(struct recorder *recorder, uint32_t mask)
{
    const struct tn_event *event = NULL;

    pthread_mutex_lock(&recorder->lock);
    for (size_t i = 0; i < recorder->count && !event; i++)
        if ((recorder->events[i]->mask & mask) == mask)
            event = recorder->events[i];
    pthread_mutex_unlock(&recorder->lock);
    return event;
}

/* The path below the scratch directory. */
static const char *below(const char *path)
{
    size_t length = strlen(top);

    if (strncmp(path, top, length) != 0)
        return path;
    if (!path[length])
        return ".";
    return path[length] == '/' ? path + length + 1 : path;
}

static void put_mask(FILE *out, uint32_t mask)
{
    char text[512];
    const char *rest = text;

    tn_mask_format(mask, text, sizeof(text));
    while (*rest) {
        if (strncmp(rest, "IN_", 3) == 0)
            rest += 3;
        size_t length = strcspn(rest, "|") + 1;
        length -= !rest[length - 1];
        fwrite(rest, 1, length, out);
        rest += length;
    }
}

static void put_event(FILE *out, const struct tn_event *event)
{
    static const char *const names[] = {"synthetic", "gap-begin", "gap-end", "unknown",
                                        "unwatched"};

    put_mask(out, event->mask);
    fprintf(out, " %s", event->path ? below(event->path) : "-");
    if (event->name)
        fprintf(out, ":%s", event->name);
    if (event->src_pathname)
        fprintf(out, " <- %s", below(event->src_pathname));
    uint32_t flags = event->flags;
    if (event->mask & IN_IGNORED)
        flags &= ~TN_EVENT_SYNTHETIC;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (flags & (1u << i))
            fprintf(out, " %s", names[i]);
    if (event->error)
        fprintf(out, " %s", strerror(-event->error));
}

/* malloc'ed; what holds for every event is checked here. */
static char *event_line(const struct tn_event *event)
{
    char *line = NULL;
    size_t size;
    FILE *out = open_memstream(&line, &size);

    cr_assert_not_null(out);
    put_event(out, event);
    if (event->path) {
        size_t length = strlen(event->path);
        bool begins = strncmp(event->pathname, event->path, length) == 0;
        const char *rest = event->pathname + length;
        rest += event->name && length && event->path[length - 1] != '/' && *rest == '/';
        if (!begins || strcmp(rest, event->name ? event->name : "") != 0)
            fprintf(out, " (but pathname is %s)", event->pathname);
    }
    if (!event->sequence || !event->read_ns)
        fprintf(out, " (but no sequence or time)");
    fclose(out);
    return line;
}

static char **all_lines(struct recorder *recorder, size_t *ret_count)
{
    pthread_mutex_lock(&recorder->lock);
    char **lines = calloc(recorder->count + 1, sizeof(*lines));
    *ret_count = recorder->count;
    for (size_t i = 0; lines && i < recorder->count; i++)
        lines[i] = event_line(recorder->events[i]);
    pthread_mutex_unlock(&recorder->lock);
    cr_assert_not_null(lines);
    return lines;
}

static void free_lines(char **lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    free(lines);
}

size_t recorder_lines(struct recorder *recorder, const char *line)
{
    size_t count, equal = 0;
    char **lines = all_lines(recorder, &count);

    for (size_t i = 0; i < count; i++)
        equal += strcmp(lines[i], line) == 0;
    free_lines(lines, count);
    return equal;
}

static int compare_lines(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static char *list_text(const char *const *lines, size_t count)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    cr_assert_not_null(out);
    for (size_t i = 0; i < count && i < 60; i++)
        fprintf(out, "\n    %s", lines[i]);
    if (count > 60)
        fprintf(out, "\n    (%zu in all)", count);
    fclose(out);
    return text;
}

void recorder_expect(struct recorder *recorder, const char *file, int line, bool any_order,
                     const char *const *lines)
{
    size_t count, wanted = 0;
    char **got = all_lines(recorder, &count);
    const char **want;

    while (lines[wanted])
        wanted++;
    want = calloc(wanted + 1, sizeof(*want));
    cr_assert_not_null(want);
    memcpy(want, lines, wanted * sizeof(*want));
    if (any_order) {
        qsort(got, count, sizeof(*got), compare_lines);
        qsort(want, wanted, sizeof(*want), compare_lines);
    }
    bool equal = count == wanted;
    for (size_t i = 0; equal && i < count; i++)
        equal = strcmp(got[i], want[i]) == 0;
    char *got_text = equal ? NULL : list_text((const char *const *)got, count);
    char *want_text = equal ? NULL : list_text(want, wanted);
    cr_assert(equal, "%s:%d: expected:%s\ngot:%s", file, line, want_text, got_text);
    free_lines(got, count);
    free(want);
    recorder_clear(recorder);
}

void stage_new(const struct tn_notifier_options *options)
{
    struct tn_notifier_options own = TN_NOTIFIER_OPTIONS_INIT;

    if (options)
        own = *options;
    else
        own.threads = 2;
    recorder_init(&seen);
    own.processor = seen.processor;
    int result = tn_notifier_new(&own, &notifier);
    cr_assert_eq(result, 0, "tn_notifier_new: %s", tn_strerror(result));
}

void stage_start(void)
{
    stage_new(NULL);
    cr_assert_eq(tn_notifier_start(notifier), 0);
}

void settle(struct tn_notifier *which)
{
    int result = tn_notifier_settle(which, 60000);

    cr_assert_eq(result, 0, "tn_notifier_settle: %s", tn_strerror(result));
}

tn_wd add_options(const char *path, const struct tn_watch_options *options)
{
    tn_wd wd = -1;
    int result = tn_watch_add(notifier, path, options, &wd);

    cr_assert_eq(result, 0, "tn_watch_add %s: %s", path, tn_strerror(result));
    cr_assert_gt(wd, 0);
    return wd;
}

tn_wd add(const char *path, uint32_t mask, uint32_t flags)
{
    return add_options(path, TN_WATCH_OPTIONS(.mask = mask, .flags = flags));
}

tn_wd found(const char *path)
{
    tn_wd wd = -1;
    int result = tn_watch_find(notifier, path, &wd);

    cr_assert_eq(result, 0, "tn_watch_find %s: %s", path, tn_strerror(result));
    return wd;
}

bool is_watched(const char *path)
{
    int result = tn_watch_find(notifier, path, NULL);

    cr_assert(result == 0 || result == -ENOENT, "tn_watch_find %s: %d", path, result);
    return result == 0;
}

struct tn_stats stats(void)
{
    struct tn_stats got = TN_STATS_INIT;

    cr_assert_eq(tn_notifier_get_stats(notifier, &got), 0);
    return got;
}

struct tn_watch_info info(tn_wd wd)
{
    struct tn_watch_info got = TN_WATCH_INFO_INIT;
    int result = tn_watch_get_info(notifier, wd, &got);

    cr_assert_eq(result, 0, "tn_watch_get_info: %s", tn_strerror(result));
    return got;
}

struct tn_filter *regex_filter(const char *pattern, uint32_t flags)
{
    struct tn_filter *filter;

    cr_assert_eq(tn_filter_new(&filter), 0);
    cr_assert_eq(tn_filter_add_regex(filter, pattern, flags), 0);
    return filter;
}

void count_release(void *data)
{
    struct released *released = data;

    released->count++;
}

int note_placed(const char *path, tn_wd wd, int error, void *data)
{
    struct placing *placing = data;

    if (!pthread_equal(pthread_self(), placing->thread))
        placing->strangers++;
    placing->errors += error != 0;
    if (placing->count < 16) {
        snprintf(placing->paths[placing->count], sizeof(*placing->paths), "%s", path);
        placing->wds[placing->count] = error ? error : wd;
    }
    placing->count++;
    return placing->count == placing->cancel_at ? -EOWNERDEAD : 0;
}

void make_dir(const char *path)
{
    check(mkdir(path, 0755), "mkdir", path);
}

void make_dirs(const char *path)
{
    char *copy = strdup(path);

    cr_assert_not_null(copy);
    for (char *end = strchr(copy + 1, '/'); end; end = strchr(end + 1, '/')) {
        *end = '\0';
        int result = mkdir(copy, 0755);
        check(result < 0 && errno == EEXIST ? 0 : result, "mkdir", copy);
        *end = '/';
    }
    make_dir(copy);
    free(copy);
}

void make_file(const char *path)
{
    write_file(path, "");
}

void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    check(fd, "open", path);
    if (*text)
        check((int)write(fd, text, strlen(text)), "write", path);
    close(fd);
}

void move(const char *from, const char *to)
{
    check(rename(from, to), "rename", from);
}

void link_to(const char *target, const char *path)
{
    check(symlink(target, path), "symlink", path);
}

void remove_file(const char *path)
{
    check(unlink(path), "unlink", path);
}

void remove_dir(const char *path)
{
    check(rmdir(path), "rmdir", path);
}

/* By descriptors, so that no path is too long. Each level keeps one open. */
static void empty_dir(int fd)
{
    DIR *dir = fdopendir(fd);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(fd, name, 0) == 0)
            continue;
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == EACCES && fchmodat(fd, name, 0700, 0) == 0)
            next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next >= 0)
            empty_dir(next);
        unlinkat(fd, name, AT_REMOVEDIR);
    }
    if (dir)
        closedir(dir);
}

void remove_tree(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    check(fd, "open", path);
    empty_dir(fd);
    remove_dir(path);
}

void change_mode(const char *path, unsigned mode)
{
    check(chmod(path, (mode_t)mode), "chmod", path);
}
