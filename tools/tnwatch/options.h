/*
 * What the command line asks for.
 */
#ifndef TNWATCH_OPTIONS_H
#define TNWATCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tnotify/filter.h>
#include <tnotify/watch.h>

/* Exit statuses. */
#define STATUS_OK     0
#define STATUS_FAILED 1
#define STATUS_USAGE  2

struct options {
    const char *const *paths;
    size_t path_count;
    uint32_t mask;  /* for the watches */
    bool ignored;   /* print IN_IGNORED, which no mask asks for */
    uint32_t flags; /* TN_WATCH_* */
    enum tn_order order;
    unsigned threads;   /* 0: the library's default */
    unsigned verbosity; /* how often -v was given */
    bool json;
    struct tn_filter *filter; /* NULL: nothing is excluded */
};

/*
 * Reads the command line. Returns true to go on; else *ret_status is the exit
 * status, and everything that there is to say has been printed.
 */
bool options_parse(struct options *options, int argc, char **argv, int *ret_status);
void options_done(struct options *options);

#endif
