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
    unsigned queue;   /* the kernel's, in events; 0: as it is */
    unsigned churn;   /* threads that add and remove watches meanwhile */
    unsigned forget;  /* each so-manyth event is kept from the model; 0: none */
    const char *directory;
    const char *workload; /* "all": each in turn */
    const char *trace;
    bool keep;
    bool existing; /* the tree is watched anew in each round, while it changes */
    bool alias;    /* a second watch stands on a symbolic link to the tree */
    bool stopped;  /* nothing is read until the operations of a round are over */
    bool snapshot; /* after a gap, too, everything is compared */
};

/* 0; 1: wrong usage, said so; -1: only help was asked for. */
int options_parse(struct options *options, int count, char **arguments);

#endif
