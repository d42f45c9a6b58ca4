/*
 * The tree as a consumer holds it who knows nothing but the events, and what
 * was wrong with them.
 *
 * Everything that an event tells is checked against what the events before it
 * told: what comes must not be there, what goes must be there, and the
 * directory that it happens in must be known.
 */
#ifndef TN_TOOLS_TNSTRESS_MODEL_H
#define TN_TOOLS_TNSTRESS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tnotify/event.h>

struct entry {
    struct entry *parent, *child, *next, *previous; /* children of a directory are a list */
    struct entry *chain;                            /* of the hash table, or of what is dead */
    bool is_dir;
    bool closed; /* its contents were told to be complete */
    bool seen;   /* the comparison's mark */
    char name[];
};

struct verdict {
    uint64_t missed, duplicated, wrong_path, unwatched;
    uint64_t stray; /* watches of the kernel's that stand on nothing of the tree */
};

struct model;

struct model *model_new(const char *root);
void model_free(struct model *model);
/* An empty tree again; what was wrong with it stays. No event of it may come meanwhile. */
void model_clear(struct model *model);
void model_apply(struct model *model, const struct tn_event *event);
/* After a gap, too, the events tell of files. */
void model_expect_all(struct model *model, bool expects_all);
/* Since the last rest events were lost. */
bool model_had_gap(const struct model *model);
/* For that, what files there are is not known; directories are. */
bool model_is_lossy(const struct model *model);
void model_forget_files(struct model *model);
/* A file that is there, as if it had been told. */
void model_keep_file(struct model *model, const char *path);
uint64_t model_gaps(const struct model *model);
/* At rest: forgets what left and did not arrive. */
void model_rest(struct model *model);

struct entry *model_root(struct model *model);
const char *model_root_path(const struct model *model);
struct entry *model_child(struct model *model, struct entry *parent, const char *name);
/* The entry of a path at or below the root's; NULL: unknown. */
struct entry *model_find(struct model *model, const char *path);
uint64_t model_events(const struct model *model);
/* Those that a scan told. */
uint64_t model_synthetic(const struct model *model);

struct verdict *model_verdict(struct model *model);
/* Counts one more, and says so while they are few. */
void model_fault(struct model *model, uint64_t *counter, const char *what, const char *path);

#endif
