/* Limen: what an application sees of a graph printed as C99. */
#ifndef LIMEN_H
#define LIMEN_H

#include <stdbool.h>
#include <stdint.h>

/* Instants and durations count ticks of the graph's clock. */
typedef int64_t limen_tick;

#define LIMEN_NEVER INT64_MAX   /* no instant lies ahead: the graph has ended */
#define LIMEN_UNTIMED INT64_MIN /* of a source: it states no instants */
#define LIMEN_NONE INT64_MAX    /* no deadline, no limit */

enum { LIMEN_BACKGROUND = 1, LIMEN_BEST_EFFORT = 2, LIMEN_LATENCY_CRITICAL = 3 };

enum { LIMEN_DEGRADE_ALLOWED = 4, LIMEN_DEGRADED = 8, LIMEN_DEFAULTED = 16, LIMEN_STALE = 32 };

/* What travels with a message. */
typedef struct limen_header {
    limen_tick creation;
    limen_tick origin;   /* the oldest creation of all that went into it */
#if LIMEN_DEADLINES
    int64_t deadline_ns; /* absolute; LIMEN_NONE for none */
#endif
#if LIMEN_AGES
    int64_t max_age_ns; /* LIMEN_NONE for no limit of its own */
#endif
    uint32_t sequence; /* by source and output */
    uint16_t source;   /* the node it began at */
    uint8_t qos;
    uint8_t flags;
} limen_header;

/* What a source answers. */
typedef enum { LIMEN_MESSAGE, LIMEN_NOTHING, LIMEN_END, LIMEN_READ_FAILED } limen_read;

/* What a source may say of a message; it is given the defaults. */
typedef struct limen_stated {
    limen_tick creation; /* LIMEN_NONE: the instant behind the call */
#if LIMEN_DEADLINES
    int64_t deadline_ns;
#endif
#if LIMEN_AGES
    int64_t max_age_ns;
#endif
    uint8_t qos;
    bool degrade_allowed;
} limen_stated;

typedef enum {
    LIMEN_NEW,
    LIMEN_RUNNING,
    LIMEN_COMPLETED,
    LIMEN_STOPPED,
    LIMEN_HALTED,     /* by a failure of a node */
    LIMEN_DEADLOCKED, /* nothing can ever be stepped again */
    LIMEN_FAILED,     /* a node could not start */
    LIMEN_BROKEN      /* a slot was missing: a defect of the program */
} limen_outcome;

/* Count, extremes and sum of some times in ns; min and max hold once count is not 0. */
typedef struct limen_times {
    uint32_t count;
    int64_t min;
    int64_t max;
    int64_t sum;
} limen_times;

/* Why a message was refused, evicted or dropped: places of the arrays below. */
enum {
    LIMEN_TOO_LARGE,
    LIMEN_EXPIRED,
    LIMEN_BACKGROUND_FULL,
    LIMEN_FULL,
    LIMEN_STOPPED_OFFER,
    LIMEN_CONSUMER_ENDED,
    LIMEN_REFUSALS
};
enum {
    LIMEN_CAPACITY,
    LIMEN_SUPERSEDED,
    LIMEN_EVICTED_EXPIRED,
    LIMEN_LOWER_QOS,
    LIMEN_EVICTIONS
};
enum {
    LIMEN_KEPT, /* not dropped at all */
    LIMEN_DROP_STALE,
    LIMEN_DROP_NO_DEADLINE,
    LIMEN_DROP_EXPIRED,
    LIMEN_DROP_INFEASIBLE,
    LIMEN_DROP_UNPAIRED,
    LIMEN_DROP_CONSUMER_ENDED,
    LIMEN_DROP_STOPPED,
    LIMEN_DROP_SKIPPED,
    LIMEN_DROP_ERROR,
    LIMEN_DROPS
};

/* Counts of an edge and of the input it ends at. */
typedef struct limen_edge_counts {
    uint32_t offered;
    uint32_t pushed;
    uint32_t taken;
    uint32_t consumed;
    uint32_t stale; /* delivered although stale */
    uint32_t refused[LIMEN_REFUSALS];
    uint32_t evicted[LIMEN_EVICTIONS];
    uint32_t dropped[LIMEN_DROPS];
    uint16_t peak;
} limen_edge_counts;

/* Counts of a node. */
typedef struct limen_node_counts {
    uint32_t steps;
    uint32_t calls;
    uint32_t errors;
    uint32_t misses;
    uint32_t overruns;
    uint32_t watchdogs;
    uint32_t discarded;
    uint32_t forwarded;
    uint32_t defaulted;
    uint32_t degraded;
    uint32_t missed_periods;
    uint32_t restarts;
    uint32_t silences;
    uint32_t padded;
} limen_node_counts;

/* Times of a node in ns. */
typedef struct limen_node_times {
    limen_times latency;
    limen_times wait;
    limen_times age;
    limen_times lateness;
} limen_node_times;

#endif
