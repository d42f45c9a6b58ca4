/*
 * What an add and an update ask for, checked.
 */
#ifndef TN_SRC_REGISTRY_ADD_H
#define TN_SRC_REGISTRY_ADD_H

#include <stdint.h>
#include <tnotify/watch.h>

#include "registry/registry.h"

/* What a mask may hold: an event that the kernel has, or one of the IN_* flags of an add. */
#define TN__MASK_ASKED (IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ISDIR)
#define TN__MASK_FLAGS ((uint32_t)(IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_ONESHOT))

/* 0, -EINVAL. also: bits that are allowed beside. */
int tn__mask_check(uint32_t mask, uint32_t also);

/* An add that is under way. */
struct tn__adding {
    struct tn__registry *registry;
    const struct tn_watch_options *options;
    struct tn__add *add;
    struct tn__policy *policy;
    struct tn_filter *filter;
    char *path; /* of the root, normalised */
    uint32_t shuffles;
    uint32_t left_out; /* of the masks, until all below a directory was listed; see below.c */
    bool quiet;        /* someone is told of openings */
    int fd;            /* of the root, O_PATH; of a name: of what has it, -1 if nothing has */
    bool is_dir;
    int parent;  /* of a name: its directory, O_PATH */
    bool stands; /* the add has a watch */
    tn_wd top;   /* the watch that below starts from */
};

static inline bool tn__adding_existing(const struct tn__adding *adding)
{
    return adding->options->flags & TN_WATCH_EXISTING;
}

/* What kind the root is, by its descriptor, and -ECANCELED if it is left out. */
int tn__adding_check(struct tn__adding *adding);
/* For later opens, when the working directory may be another; malloc'ed, NULL: no memory. */
char *tn__path_absolute(const char *path);

/* follow.c: opens what the name leads to, if there is something, and its directory. */
int tn__open_name(struct tn__adding *adding);
/* Places the watches of a name and of what has it. */
int tn__place_name(struct tn__adding *adding, tn_wd *ret_wd);

/* Places the directories below the root. 0, or why the add fails. */
int tn__place_below(const struct tn__adding *adding);

/* Settle must look for processors that hold something back. */
void tn__registry_note_processor(struct tn__registry *registry,
                                 const struct tn_processor *processor);

/*
 * Removes a watch and all below it, a few at a time under the lock; flags are
 * set on each; wait: for the calls that run. -ENOENT: there is no such watch.
 */
int tn__registry_kill_subtree(struct tn__registry *registry, tn_wd wd, uint64_t flags, bool wait);

#endif
