/* What one thread does when others have come to a place. */
#ifndef TN_TESTS_GATE_H
#define TN_TESTS_GATE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/types.h>
#include <tnotify/tnotify.h>

/* One thread opens it, and others wait for that. */
struct gate {
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t change;
    bool open;
    unsigned waiting; /* how many have come to it, open or not */
};

void gate_init(struct gate *gate);
void gate_pass(struct gate *gate);
void gate_open(struct gate *gate);
/* A process function whose userdata is the gate. */
int gate_pass_event(const struct tn_event *event, void *gate);
void gate_wait_for(struct gate *gate, unsigned waiting);

/* Fails the test when it takes half a minute. */
void wait_for(sem_t *semaphore);
/* Whether a thread of this process sleeps; its id is of gettid(). */
bool is_asleep(pid_t thread);

#endif
