/*
 * What the behaviour tests share: a directory of the test's own, operations in
 * it that fail the test when they fail, and a processor that keeps what it was
 * told.
 *
 * An event is compared as a line of text: mask (without "IN_"), a space, the
 * path below the scratch directory ("." for itself), ":" and the name if there
 * is one, " <- " and the source pathname if there is one, and the flags:
 *
 *     CREATE|ISDIR a:b
 *     MOVED_TO a:new <- a/old
 *     IGNORED a/b unknown
 *
 * "synthetic" is left out of an IN_IGNORED.
 */
#ifndef TN_TESTS_SUPPORT_H
#define TN_TESTS_SUPPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tnotify/tnotify.h>

/* Names coming and going, and what happens to watched items themselves. */
#define NAMES ((uint32_t)(IN_CREATE | IN_DELETE | IN_MOVE | IN_DELETE_SELF | IN_MOVE_SELF))
/* Without the self events, whose place among the others is not the same in all kernels. */
#define ENTRIES ((uint32_t)(IN_CREATE | IN_DELETE | IN_MOVE))

/*
 * .init and .fini of a suite. The scratch directory is made below TMPDIR and is
 * the working directory; its path has no symbolic link in it. It is removed
 * with everything in it; stage_close() also frees the stage's notifier and
 * recorder, if there are any.
 */
void stage_open(void);
void stage_close(void);

/* An absolute path in the scratch directory; "" or "." for itself. Valid until stage_close(). */
const char *scratch(const char *path);

/* Keeps a copy of each event, in the order of the calls. */
struct recorder {
    pthread_mutex_t lock; /* guards all but the processor */
    struct tn_event **events;
    size_t count, capacity;
    size_t released; /* how often the processor's release was called */
    struct tn_processor *processor;
};

void recorder_init(struct recorder *recorder);
/* Gives the processor back, and waits for nothing: free the notifier first. */
void recorder_done(struct recorder *recorder);
void recorder_clear(struct recorder *recorder);
size_t recorder_count(struct recorder *recorder);
/* The i-th event; the recorder's, until it is cleared. Fails the test if there is none. */
const struct tn_event *recorder_event(struct recorder *recorder, size_t i);
/* The first event with all these mask bits; NULL: none. */
const struct tn_event *recorder_find(struct recorder *recorder, uint32_t mask);
/* How many lines there are that equal this one. */
size_t recorder_lines(struct recorder *recorder, const char *line);

/*
 * The recorder has exactly these lines, in this order (EXPECT) or in any
 * (EXPECT_SET); then it is cleared. Settle first.
 */
#define EXPECT(recorder, ...)                                                                      \
    recorder_expect(recorder, __FILE__, __LINE__, false, (const char *const[]){__VA_ARGS__, NULL})
#define EXPECT_SET(recorder, ...)                                                                  \
    recorder_expect(recorder, __FILE__, __LINE__, true, (const char *const[]){__VA_ARGS__, NULL})
#define EXPECT_NONE(recorder)                                                                      \
    recorder_expect(recorder, __FILE__, __LINE__, false, (const char *const[]){NULL})
void recorder_expect(struct recorder *recorder, const char *file, int line, bool any_order,
                     const char *const *lines);

/* Of the test: made by stage_start() and stage_new(), freed by stage_close(). */
extern struct tn_notifier *notifier;
extern struct recorder seen;

/* A notifier whose processor is `seen`; NULL: default options with two threads. Not started. */
void stage_new(const struct tn_notifier_options *options);
/* And started. */
void stage_start(void);

void settle(struct tn_notifier *notifier);
/* The watch's descriptor; fails the test if the add fails. */
tn_wd add(const char *path, uint32_t mask, uint32_t flags);
tn_wd add_options(const char *path, const struct tn_watch_options *options);
/* The watch on a path. */
tn_wd found(const char *path);
bool is_watched(const char *path);
struct tn_stats stats(void);
struct tn_watch_info info(tn_wd wd);
/* A filter with one regular expression; the caller's reference. */
struct tn_filter *regex_filter(const char *pattern, uint32_t flags);

/* A counter for `release` functions: data is a pointer to a struct released, static, for the
 * fixture frees the notifier after the test has returned. */
struct released {
    _Atomic int count;
    _Atomic int calls_after; /* events that came after the release, if a test counts them */
};
void count_release(void *data);

/* What `placed` was told; data is a pointer to it. It cancels at the cancel_at-th call. */
struct placing {
    pthread_t thread; /* the one that adds */
    int count, errors, cancel_at, strangers;
    char paths[16][512];
    tn_wd wds[16]; /* or the negative errno */
};
int note_placed(const char *path, tn_wd wd, int error, void *data);

/* Skips the test. */
#define SKIP(...)                                                                                  \
    do {                                                                                           \
        stage_close();                                                                             \
        cr_skip_test(__VA_ARGS__);                                                                 \
    } while (0)

/* File operations, in the scratch directory unless the path is absolute. */
void make_dir(const char *path);
void make_dirs(const char *path);
/* Opens to write, closes. */
void make_file(const char *path);
/* Opens to write, writes, closes. */
void write_file(const char *path, const char *text);
void move(const char *from, const char *to);
void link_to(const char *target, const char *path);
void remove_file(const char *path);
void remove_dir(const char *path);
void remove_tree(const char *path);
void change_mode(const char *path, unsigned mode);

#endif
