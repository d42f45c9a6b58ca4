/*
 * What the behaviour tests share: the scratch directory, a notifier in it that
 * tells a recorder, and short forms of the calls for that notifier.
 */
#ifndef TN_TESTS_SUPPORT_H
#define TN_TESTS_SUPPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <tnotify/tnotify.h>

#include "recorder.h"
#include "scratch.h"

/* Names coming and going, and what happens to watched items themselves. */
#define NAMES ((uint32_t)(IN_CREATE | IN_DELETE | IN_MOVE | IN_DELETE_SELF | IN_MOVE_SELF))
/* Without the self events, whose place among the others is not the same in all kernels. */
#define ENTRIES ((uint32_t)(IN_CREATE | IN_DELETE | IN_MOVE))
/* What changes names and contents, and nothing that reading makes. */
#define CHANGES (ENTRIES | (uint32_t)(IN_MODIFY | IN_CLOSE_WRITE))

/*
 * .init and .fini of a suite: the scratch directory and its end. stage_close()
 * also frees the stage's notifier and recorder, if there are any.
 */
void stage_open(void);
void stage_close(void);

/* Of the test: made by stage_start() and stage_new(), freed by stage_close(). */
extern struct tn_notifier *notifier;
extern struct recorder seen;

/* A notifier whose processor is `seen`; options NULL: default options with two threads. Not
 * started. */
void stage_new(const struct tn_notifier_options *options);
/* With this processor instead, whose reference is taken over; NULL: with none. */
void stage_new_with(struct tn_processor *processor, const struct tn_notifier_options *options);
/* The same, started. */
void stage_start(void);
void stage_start_with(const struct tn_notifier_options *options);
/* A stop and a join, and the end of it; NULL. */
struct tn_notifier *finish(struct tn_notifier *which, enum tn_finish how);

void settle(struct tn_notifier *which);
/* A new processor; fails the test if there is none. */
struct tn_processor *processor_of(const struct tn_processor_ops *ops, void *userdata);
/* With this one function for all kinds. */
struct tn_processor *processing(tn_process_fn process, void *userdata);
/* The watch's descriptor; fails the test if the add fails. */
tn_wd add(const char *path, uint32_t mask, uint32_t flags);
tn_wd add_options(const char *path, const struct tn_watch_options *options);
/* To another notifier than the stage's. */
tn_wd add_to(struct tn_notifier *which, const char *path, uint32_t mask, uint32_t flags);
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

#endif
