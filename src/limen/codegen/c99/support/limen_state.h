/* Limen: the state of a printed graph, part by part. Its header says what the graph needs. */
#ifndef LIMEN_STATE_H
#define LIMEN_STATE_H

/* What waits or is held: a slot, and when it was pushed. */
typedef struct limen_entry {
#if LIMEN_PUSHED
    limen_tick pushed;
#endif
    uint16_t slot;
#if LIMEN_MARKS
    uint8_t marks;
#endif
} limen_entry;

typedef struct limen_edge {
#if LIMEN_LIVENESS
    limen_tick last_push;
    limen_tick reported;
#endif
#if LIMEN_COUNTS
    limen_edge_counts counts;
#endif
    uint16_t head;
    uint16_t count;
#if LIMEN_LANES
    uint16_t urgent_head;
    uint16_t urgent;
#endif
    uint16_t hold_head;
    uint16_t held;
    uint16_t presented;
    uint16_t stage_head;
    uint16_t staged;
    bool pressed; /* since the last take something found no room */
    bool closed;
    bool producer_ended;
    bool consumer_ended;
} limen_edge;

typedef struct limen_port {
    uint32_t made;
    uint32_t emitted;
    uint16_t next;
} limen_port;

#if LIMEN_DEGRADES
typedef struct limen_degrade {
    uint16_t over;
    uint16_t within;
    uint16_t wait;
    bool degraded;
    bool counts;
} limen_degrade;
#endif

typedef struct limen_node {
    limen_tick asleep_until;
#if LIMEN_PERIODS
    limen_tick period_due;
#endif
#if LIMEN_LIVENESS
    limen_tick last_step;
    limen_tick reported;
#endif
#if LIMEN_TIMES
    limen_node_times times;
#endif
#if LIMEN_COUNTS
    limen_node_counts counts;
#endif
    uint32_t made_alone;
#if LIMEN_DEGRADES
    limen_degrade degrade;
#endif
    uint16_t restarted;
    bool ended;
    bool ended_stream;
    bool produced_nothing;
    bool held_back;
    uint8_t failing; /* what failures led to: the bits below */
} limen_node;

enum { LIMEN_HALTS = 1, LIMEN_QUIESCES = 2, LIMEN_RESTARTING = 4 };

typedef struct limen_run {
    limen_tick tick; /* the instant that decisions use */
    limen_tick drain;
    limen_tick drain_until;
    uint32_t steps;
    uint32_t errors;
    uint16_t last;
    uint16_t ended;
    uint8_t idle_polls;
    uint8_t outcome; /* a limen_outcome */
    volatile bool stop_requested;
    bool draining;
    bool waits;
    bool took; /* whether the step at hand took anything */
} limen_run;

#endif
