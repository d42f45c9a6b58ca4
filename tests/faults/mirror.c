/*
 * A model of the trees that is kept from events alone.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "mirror.h"

enum { ENTRIES = 4096, EXCUSES = 64 };

/* Aside: it has left under the cookie, from the path that it still has. */
struct entry {
    char *path;
    uint32_t aside;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry entries[ENTRIES];
static size_t count;
static char *excuses[EXCUSES];
static size_t excuse_count;
static bool gap;
static char oddity[600]; /* the first; a gap that is told later explains it */
static uint64_t unwatched;

static char *copy(const char *text)
{
    char *copied = strdup(text);

    if (!copied)
        abort();
    return copied;
}

static bool is_below(const char *path, const char *top)
{
    size_t length = strlen(top);

    return strncmp(path, top, length) == 0 && (!path[length] || path[length] == '/');
}

static bool is_told_unwatched(const char *path)
{
    for (size_t i = 0; i < excuse_count; i++)
        if (is_below(path, excuses[i]))
            return true;
    return false;
}

static bool is_excused(const char *path)
{
    return gap || is_told_unwatched(path);
}

static struct entry *find(const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (!entries[i].aside && strcmp(entries[i].path, path) == 0)
            return &entries[i];
    return NULL;
}

static void insert(const char *path)
{
    if (count == ENTRIES)
        abort();
    entries[count++] = (struct entry){.path = copy(path)};
}

static void note_oddity(const char *what, const char *path)
{
    if (!*oddity && !is_excused(path))
        snprintf(oddity, sizeof(oddity), "%s: %s", what, path);
}

static void appear(const char *path)
{
    if (!find(path))
        insert(path);
    else
        note_oddity("told twice", path);
}

static void vanish(const char *path, uint32_t cookie)
{
    if (!find(path))
        note_oddity("gone, but it was not there", path);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].aside || !is_below(entries[i].path, path))
            continue;
        entries[i].aside = cookie;
        if (!cookie) {
            free(entries[i].path);
            entries[i--] = entries[--count];
        }
    }
}

/* Where what left under the cookie was; NULL: nothing did. The top is the shortest path. */
static char *source_of(uint32_t cookie)
{
    const char *source = NULL;

    for (size_t i = 0; cookie && i < count; i++)
        if (entries[i].aside == cookie && (!source || strlen(entries[i].path) < strlen(source)))
            source = entries[i].path;
    return source ? copy(source) : NULL;
}

static void move_path(char **path, const char *from, const char *to)
{
    char *moved = NULL;

    if (!*path || !is_below(*path, from))
        return;
    if (asprintf(&moved, "%s%s", to, *path + strlen(from)) < 0)
        abort();
    free(*path);
    *path = moved;
}

/* What was put aside comes back under another path. */
static void arrive(const char *path, uint32_t cookie, const char *told_source)
{
    char *source = source_of(cookie);

    if (!source) {
        appear(path);
        return;
    }
    if (told_source && strcmp(source, told_source) != 0)
        note_oddity("it did not come from where it is said to", path);
    for (size_t i = 0; i < count; i++)
        if (entries[i].aside == cookie) {
            entries[i].aside = 0;
            move_path(&entries[i].path, source, path);
        }
    for (size_t i = 0; i < excuse_count; i++)
        move_path(&excuses[i], source, path);
    free(source);
}

static void excuse_locked(const char *path)
{
    if (excuse_count == EXCUSES)
        abort();
    excuses[excuse_count++] = copy(path);
}

int mirror_event(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    pthread_mutex_lock(&lock);
    if (event->mask & IN_Q_OVERFLOW)
        gap = true;
    else if (!event->pathname)
        fail("an event without a path");
    else if (event->flags & TN_EVENT_UNWATCHED) {
        unwatched++;
        excuse_locked(event->pathname);
        if (event->error >= 0)
            fail("unwatched without an error: %s", event->pathname);
    } else if (event->name && event->mask & IN_CREATE)
        appear(event->pathname);
    else if (event->name && event->mask & IN_DELETE)
        vanish(event->pathname, 0);
    else if (event->name && event->mask & IN_MOVED_FROM)
        vanish(event->pathname, event->cookie);
    else if (event->name && event->mask & IN_MOVED_TO)
        arrive(event->pathname, event->cookie, event->src_pathname);
    pthread_mutex_unlock(&lock);
    return 0;
}

static void walk(const char *path, void (*visit)(const char *path, bool is_dir))
{
    DIR *directory = opendir(path);

    for (const struct dirent *item; directory && (item = readdir(directory)) != NULL;) {
        char below[1024];
        struct stat status;
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof(below), "%.500s/%.255s", path, item->d_name);
        bool is_dir = lstat(below, &status) == 0 && S_ISDIR(status.st_mode);
        visit(below, is_dir);
        if (is_dir)
            walk(below, visit);
    }
    if (directory)
        closedir(directory);
}

static void take(const char *path, bool is_dir)
{
    (void)is_dir;
    if (!find(path))
        insert(path);
}

void mirror_take(const char *path)
{
    walk(full(path), take);
}

void mirror_excuse(const char *path)
{
    pthread_mutex_lock(&lock);
    excuse_locked(path);
    pthread_mutex_unlock(&lock);
}

static void check(const char *path, bool is_dir)
{
    pthread_mutex_lock(&lock);
    bool excused = is_excused(path);
    bool known = find(path) != NULL;
    pthread_mutex_unlock(&lock);
    if (excused || fault_lied())
        return;
    if (!known)
        fail("missed: %s", path);
    if (is_dir && tn_watch_find(notifier, path, NULL) < 0)
        fail("not watched: %s", path);
}

void mirror_check(const char *path)
{
    struct tn_stats stats = TN_STATS_INIT;
    struct stat status;

    if (fault_lasts())
        nudge(path);
    fault_disarm();
    walk(full(path), check);
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count; i++)
        if (!entries[i].aside && is_below(entries[i].path, full(path)) &&
            lstat(entries[i].path, &status) < 0 && !is_excused(entries[i].path) && !fault_lied())
            fail("its end was missed: %s", entries[i].path);
    if (tn_notifier_get_stats(notifier, &stats) < 0)
        fail("no stats");
    if (*oddity && !gap)
        fail("%s", oddity);
    if (stats.dropped && !gap)
        fail("%llu dropped, and nobody was told", (unsigned long long)stats.dropped);
    if (unwatched > stats.unwatched)
        fail("unwatched directories are not counted");
    pthread_mutex_unlock(&lock);
}

static void check_directory(const char *path, bool is_dir)
{
    pthread_mutex_lock(&lock);
    bool excused = is_told_unwatched(path);
    bool known = find(path) != NULL;
    pthread_mutex_unlock(&lock);
    if (!is_dir || excused || fault_lied())
        return;
    if (!known && !fault_fired())
        fail("missed after a gap: %s", path);
    if (tn_watch_find(notifier, path, NULL) < 0)
        fail("not watched after a gap: %s", path);
}

void mirror_check_directories(const char *path)
{
    fault_disarm();
    nudge(path);
    walk(full(path), check_directory);
}

bool mirror_gap(void)
{
    pthread_mutex_lock(&lock);
    bool told = gap;
    pthread_mutex_unlock(&lock);
    return told;
}

void mirror_forget(void)
{
    pthread_mutex_lock(&lock);
    while (count)
        free(entries[--count].path);
    while (excuse_count)
        free(excuses[--excuse_count]);
    gap = false;
    *oddity = '\0';
    unwatched = 0;
    pthread_mutex_unlock(&lock);
}
