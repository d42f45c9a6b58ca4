/* The command line of tnstress. */
#ifndef TN_TOOLS_TNSTRESS_OPTIONS_H
#define TN_TOOLS_TNSTRESS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
    uint64_t seed;
    unsigned operations; /* of all writers together */
    unsigned writers;
    unsigned threads; /* 0: read and process in this thread, now and then */
    unsigned rest;    /* operations between two comparisons */
    const char *directory;
    const char *workload; /* "all": each in turn */
    const char *trace;
    bool keep;
    bool existing; /* the tree is watched anew in each round, while it changes */
};

/* 0; 1: wrong usage, said so; -1: only help was asked for. */
int options_parse(struct options *options, int count, char **arguments);

#endif
