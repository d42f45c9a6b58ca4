/*
 * A scratch tree, and a replay source in front of a notifier in the caller's
 * thread, both driven by the input: changes of the tree tell the records that
 * the kernel would, and come between any two calls that the library makes to
 * its source.
 *
 * "t" is to be watched, "o" is outside. One stage a process.
 */
#ifndef TN_TESTS_FUZZ_STAGE_H
#define TN_TESTS_FUZZ_STAGE_H

#include <limits.h>

#include "input.h"
#include "source/replay.h"

enum { STAGE_PATH = PATH_MAX };

struct stage {
    struct input input;
    struct tn__source source; /* the notifier's */
    struct tn__source *replay;
    bool between; /* changes come between the library's calls */
    bool silent;  /* changes tell nothing */
    size_t most;  /* bytes of a read; 0: no bound */
    size_t cut;   /* bytes off the end of the next read */
    size_t tail;  /* bytes of `garbage` behind the next read */
    uint8_t garbage[256];
};

extern struct stage stage;

/* An empty tree and a source, which the notifier closes. */
void stage_open(const uint8_t *data, size_t size);
/* After the notifier was freed. */
void stage_close(void);

/* A path of the input's choice below the top directory; absolute. */
void stage_take_path(char path[STAGE_PATH]);
/* The path of a name below the top directory. */
void stage_path(char path[STAGE_PATH], const char *name);
/* The key of a watch, or any number, of the input's choice. */
uint64_t stage_take_key(void);
/* A name of an entry; "": none. No "/", ".", "..": the kernel gives none, and they lead elsewhere.
 */
void stage_take_name(char *name, size_t size);
/* A change of the input's choice. */
void stage_change(void);
/* Deletes the whole tree. */
void stage_delete_all(void);
/* Tells the end of what was deleted, once nobody holds it open: not inside a call of the source.
 * Whether there was any. */
bool stage_end_deleted(void);

#endif
