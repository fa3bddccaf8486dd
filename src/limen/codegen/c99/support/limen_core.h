/* Limen: the decision procedure of a printed graph, over the constants of that graph.
   Included once, by the graph's own file, behind its header and ahead of its tables. */

#include <stddef.h>
#include <string.h>

enum { LIMEN_BLOCK, LIMEN_DROP_NEWEST, LIMEN_DROP_OLDEST, LIMEN_AWARE_OF_DEADLINES };
enum { LIMEN_SOURCE, LIMEN_ONE_BY_ONE, LIMEN_WINDOW, LIMEN_MODEL, LIMEN_JOIN };
enum { LIMEN_ALL, LIMEN_ANY, LIMEN_TRIGGER, LIMEN_PERIODIC };
enum { LIMEN_CONTINUE, LIMEN_HALT_GRAPH, LIMEN_QUIESCE, LIMEN_FAILSAFE, LIMEN_RESTART };
enum {
    LIMEN_OVER_NOTHING,
    LIMEN_OVER_DROP,
    LIMEN_OVER_SKIP_STAGE,
    LIMEN_OVER_DEFAULT,
    LIMEN_OVER_DEGRADE
};

#define LIMEN_NO_NODE 65535u
#define LIMEN_NO_EDGE 65535u

/* An edge, and the input it ends at. Where its entries begin counts in the pool of all entries. */
typedef struct limen_edge_plan {
    int64_t default_ns; /* the consumer's deadline from the push on; LIMEN_NONE for none */
    int64_t slack_ns;
#if LIMEN_EXPIRES || LIMEN_BUDGETS
    int64_t budget_ns;
#endif
#if LIMEN_DELTAS
    limen_tick delta;
#endif
#if LIMEN_FRESHNESS
    limen_tick max_age;
    limen_tick max_span_age;
#endif
#if LIMEN_LIVENESS
    limen_tick gap;
#endif
    uint16_t producer;
    uint16_t consumer;
    uint16_t port;  /* of all outputs */
    uint16_t fits;  /* with fewer waiting, one more fits */
    uint16_t hard;  /* from here on the edge is full */
    uint16_t soft;  /* from here on it is under pressure */
    uint16_t ring;  /* its entries, and how many there are (a lane) */
    uint16_t room;
    uint16_t hold;
    uint16_t hold_room;
    uint16_t stage;
    uint16_t stage_room;
    uint16_t batch;
    uint16_t stride;
    uint8_t input;
    uint8_t admission;
    bool supersedes;
    bool latch;
    bool lanes;
    bool feedback;
    bool required;
    bool trigger;
    bool delivers; /* what is stale, marked */
    bool requires_deadline;
    bool drops_late;
    bool needs_degrade_allowed;
} limen_edge_plan;

/* An output: its slots, counted over all outputs, and where their payloads lie in the state. */
typedef struct limen_port_plan {
    uint32_t payloads;
    uint32_t slot_bytes;
    uint16_t first;
    uint16_t depth;
    uint16_t edges;
    uint16_t max_emit;
    uint8_t fan_out;
    bool in_turn; /* slots are given back in the order in which they were claimed */
} limen_port_plan;

typedef struct limen_node_plan {
    limen_tick cost; /* of a call, on simulated time */
#if LIMEN_DEGRADES
    limen_tick variant_cost;
#endif
#if LIMEN_SOURCES
    limen_tick offset; /* of a source: added to the instants it states */
    int64_t offset_ns;
#endif
#if LIMEN_PERIODS
    limen_tick period;
#endif
#if LIMEN_LIVENESS
    limen_tick step_gap;
#endif
#if LIMEN_BUDGETS
    limen_tick tick_budget;
    limen_tick watchdog;
#endif
#if LIMEN_RESTARTS
    limen_tick restart_per;
    limen_tick restart_backoff;
    uint16_t restart_max;
    uint16_t restarts;
#endif
#if LIMEN_WINDOWS
    uint32_t gather;
#endif
    uint16_t in_edges;
    uint16_t inputs; /* connected ones */
    uint16_t input_ports;
    uint16_t out_edges;
    uint16_t outs;
    uint16_t ports;
    uint16_t outputs;
    uint16_t fixed_batch;
#if LIMEN_DECLARED
    uint16_t failsafe_port;
    uint16_t default_port;
    bool failsafe_quiesces;
#endif
#if LIMEN_DEGRADES
    uint16_t degrade_after;
    uint16_t recover_after;
#endif
    uint8_t shape;
    uint8_t activation;
    uint8_t criticality;
    uint8_t on_error;
    uint8_t over_budget;
} limen_node_plan;
