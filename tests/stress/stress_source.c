/*
 * Many threads at one source: each changes its own directory and marks, while
 * one reads; and crawls from several threads at once, with calls back into
 * their callers. For ThreadSanitizer, and for the order of the markers.
 */
#include "source/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reader/decode.h"
#include "source/replay.h"
#include "tree/crawl.h"

enum { THREADS = 4, ROUNDS = 1500, CRAWLS = 20, WIDTH = 12 };

#define CHECK(x) ((x) ? (void)0 : fail(__LINE__, #x))

static char root[] = "/tmp/tn-source-XXXXXX";
static bool replayed;

static void fail(int line, const char *what)
{
    fprintf(stderr, "stress_source.c:%d: %s (%s)\n", line, what, strerror(errno));
    exit(1);
}

/* What one thread does to its own directory, and what the reader has seen of it. */
struct writer {
    pthread_t thread;
    struct tn__source *source;
    int fd;
    uint64_t key;
    _Atomic uint64_t markers[ROUNDS]; /* set once mark has returned */
    int seen;                         /* the reader's: creations read so far */
};

static struct writer writers[THREADS];

static void *write_and_mark(void *arg)
{
    struct writer *writer = arg;
    struct tn__source *source = writer->source;
    char name[32];

    for (int i = 0; i < ROUNDS; i++) {
        uint64_t marker = 0;
        snprintf(name, sizeof(name), "f%d", i);
        if (replayed) {
            CHECK(tn__replay_push(source, writer->key, IN_CREATE, 0, name) == 0);
        } else {
            int fd = openat(writer->fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
            CHECK(fd >= 0);
            close(fd);
        }
        CHECK(source->ops->mark(source, &marker) == 0);
        atomic_store_explicit(&writer->markers[i], marker, memory_order_release);
    }
    return NULL;
}

/* The keys that came as markers, in the order in which they were read. */
static uint64_t marked[THREADS * ROUNDS];
static int seen_at[THREADS * ROUNDS][THREADS]; /* what had been seen of each writer by then */

static void take(const struct tn__raw *raw, int *markers)
{
    CHECK(raw->key != UINT64_MAX);
    if (raw->mask & IN_IGNORED) {
        CHECK(*markers < THREADS * ROUNDS);
        marked[*markers] = raw->key;
        for (int i = 0; i < THREADS; i++)
            seen_at[*markers][i] = writers[i].seen;
        ++*markers;
        return;
    }
    for (int i = 0; i < THREADS; i++)
        if (writers[i].key == raw->key)
            writers[i].seen++;
}

static void read_all(struct tn__source *source)
{
    static _Alignas(8) char buffer[16384];
    int markers = 0;

    while (markers < THREADS * ROUNDS) {
        struct pollfd ready = {.fd = source->ops->fd(source), .events = POLLIN};
        struct tn__raw raw;
        size_t offset = 0;
        ssize_t got = source->ops->read(source, buffer, sizeof(buffer));
        if (got == -EAGAIN) {
            CHECK(poll(&ready, 1, 30000) == 1);
            continue;
        }
        CHECK(got > 0);
        while (tn__decode(buffer, (size_t)got, &offset, &raw) == 1)
            take(&raw, &markers);
        CHECK(offset == (size_t)got);
    }
}

/* Each marker was read once, and all that its thread had done before came before it. */
static void check_writer(int which)
{
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t key = atomic_load_explicit(&writers[which].markers[i], memory_order_acquire);
        int found = -1;
        for (int j = 0; j < THREADS * ROUNDS; j++) {
            if (marked[j] != key)
                continue;
            CHECK(found < 0);
            found = j;
        }
        CHECK(found >= 0);
        CHECK(seen_at[found][which] >= i + 1);
    }
}

static void run_markers(struct tn__source *source)
{
    for (int i = 0; i < THREADS; i++) {
        char path[64];
        struct writer *writer = &writers[i];
        snprintf(path, sizeof(path), "%s/%c%d", root, replayed ? 'r' : 'w', i);
        CHECK(mkdir(path, 0700) == 0);
        writer->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        writer->source = source;
        writer->seen = 0;
        CHECK(source->ops->watch(source, writer->fd, NULL, IN_CREATE, &writer->key) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(!pthread_create(&writers[i].thread, NULL, write_and_mark, &writers[i]));
    read_all(source);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(writers[i].thread, NULL);
        close(writers[i].fd);
        check_writer(i);
    }
    source->ops->close(source);
}

struct crawler {
    pthread_t thread;
    int directories, calls; /* not atomic: one thread at a time, or the sanitizer tells */
};

static int count_call(void *arg)
{
    struct crawler *crawler = arg;

    CHECK(pthread_equal(crawler->thread, pthread_self()));
    return ++crawler->calls;
}

static int show_directory(void *context, uint32_t parent, const char *name, size_t length, int fd,
                          bool in_cwd, uint32_t *ret_id)
{
    struct crawler *crawler = context;
    struct stat cwd, own;

    (void)parent, (void)name, (void)length;
    if (in_cwd)
        CHECK(stat(".", &cwd) == 0 && fstat(fd, &own) == 0 && cwd.st_ino == own.st_ino);
    crawler->directories++;
    *ret_id = 1;
    return tn__crawl_in_caller(count_call, crawler) == crawler->directories ? 1 : -EINVAL;
}

static int want(void *context, uint32_t parent, const char *name, size_t length, unsigned char type)
{
    (void)context, (void)parent, (void)name, (void)length, (void)type;
    return 1;
}

static int not_failed(void *context, uint32_t parent, const char *name, size_t length, int error)
{
    (void)context, (void)parent, (void)name, (void)length;
    return error;
}

static void *crawl(void *arg)
{
    static const struct tn__crawl_ops ops = {show_directory, want, not_failed, NULL};
    struct crawler *crawler = arg;
    char path[64];

    crawler->thread = pthread_self();
    snprintf(path, sizeof(path), "%s/tree", root);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0);
    for (int i = 1; i <= CRAWLS; i++) {
        crawler->directories = crawler->calls = 0;
        CHECK(tn__crawl_run(fd, 0, &ops, crawler) == 0);
        CHECK(crawler->directories == WIDTH * (WIDTH + 1));
        CHECK(crawler->calls == crawler->directories);
    }
    close(fd);
    return NULL;
}

static void run_crawls(void)
{
    static struct crawler crawlers[THREADS];
    pthread_t threads[THREADS];
    char path[64];

    snprintf(path, sizeof(path), "%s/tree", root);
    CHECK(mkdir(path, 0700) == 0);
    for (int i = 0; i < WIDTH; i++) {
        snprintf(path, sizeof(path), "%s/tree/%d", root, i);
        CHECK(mkdir(path, 0700) == 0);
        for (int j = 0; j < WIDTH; j++) {
            snprintf(path, sizeof(path), "%s/tree/%d/%d", root, i, j);
            CHECK(mkdir(path, 0700) == 0);
        }
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(!pthread_create(&threads[i], NULL, crawl, &crawlers[i]));
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    struct tn__source *source;
    char command[64], cwd[64];
    uint64_t key;
    int result;

    CHECK(mkdtemp(root) && chdir(root) == 0);
    run_crawls();
    CHECK(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, root) == 0);

    replayed = true;
    CHECK(tn__source_new_replay(&source) == 0);
    run_markers(source);

    replayed = false;
    CHECK(tn__source_new_inotify(&source) == 0);
    result = source->ops->watch(source, AT_FDCWD, root, IN_ATTRIB, &key);
    if (result == 0)
        run_markers(source);
    else
        source->ops->close(source);

    snprintf(command, sizeof(command), "rm -rf %s", root);
    CHECK(system(command) == 0);
    return result == -ENOSPC ? 77 : result < 0;
}
