/* Limen: plans and state of a printed graph; slots, rings and holds. Included by limen_core.h. */

/* Where the graph's constants fold, all of this becomes straight-line code. */
#if LIMEN_SPECIALISE && defined(__GNUC__)
#define LIMEN_FN static inline __attribute__((always_inline, unused))
#elif defined(__GNUC__)
#define LIMEN_FN static __attribute__((unused))
#else
#define LIMEN_FN static
#endif
#if defined(__GNUC__)
#define LIMEN_RARE static __attribute__((noinline, unused))
#else
#define LIMEN_RARE static
#endif

#if LIMEN_LOG
#define LIMEN_NOTE(place, action, sequence, reason) \
    limen_log(g->run.tick, g->run.steps, (place), (action), (int64_t)(sequence), (reason))
#else
#define LIMEN_NOTE(place, action, sequence, reason) ((void)0)
#endif

#if LIMEN_COUNTS
#define LIMEN_COUNT(counter) ((void)(counter)++)
#define LIMEN_COUNT_BY(counter, n) ((void)((counter) += (n)))
#else
#define LIMEN_COUNT(counter) ((void)0)
#define LIMEN_COUNT_BY(counter, n) ((void)0)
#endif

#if LIMEN_LOG
static const char *const limen_refusal_names[] = {"too_large", "expired", "background", "full",
                                                  "stopped", "consumer_ended"};
static const char *const limen_eviction_names[] = {"capacity", "superseded", "expired",
                                                   "lower_qos"};
static const char *const limen_drop_names[] = {
    "",         "stale",          "no_deadline", "expired", "infeasible",
    "unpaired", "consumer_ended", "stopped",     "skipped", "error"};
#endif

LIMEN_FN limen_tick limen_to_ns(limen_tick ticks) {
#if LIMEN_NS_PER_TICK
    return ticks * LIMEN_NS_PER_TICK;
#else
    return ticks / LIMEN_TICK_RATE * 1000000000 +
           ticks % LIMEN_TICK_RATE * 1000000000 / LIMEN_TICK_RATE;
#endif
}

#if LIMEN_TIMES
LIMEN_FN void limen_record(limen_times *times, int64_t ns) {
    if (times->count == 0 || ns < times->min) {
        times->min = ns;
    }
    if (times->count == 0 || ns > times->max) {
        times->max = ns;
    }
    times->sum += ns;
    times->count++;
}
#endif

LIMEN_FN int64_t limen_deadline_of(const limen_header *header) {
#if LIMEN_DEADLINES
    return header->deadline_ns;
#else
    (void)header;
    return LIMEN_NONE;
#endif
}

LIMEN_FN int64_t limen_max_age_of(const limen_header *header) {
#if LIMEN_AGES
    return header->max_age_ns;
#else
    (void)header;
    return LIMEN_NONE;
#endif
}

/* Slots: one array an output; a slot is free once nobody has a share in it. Where they are given
   back in the order in which they were claimed, the next one is always free, and no shares are
   counted. */

#define LIMEN_CLAIMED 255u

LIMEN_FN unsigned limen_claim(LIMEN_GRAPH *g, unsigned p) {
    const limen_port_plan *const plan = &limen_ports[p];
    unsigned slot = g->ports[p].next;
    unsigned tries = plan->depth;
    if (plan->in_turn) {
        g->ports[p].next =
            (uint16_t)(slot + 1 == (unsigned)plan->first + plan->depth ? plan->first : slot + 1);
        return slot;
    }
    while (g->shares[slot] != 0 && tries != 0) {
        slot = slot + 1 == (unsigned)plan->first + plan->depth ? plan->first : slot + 1;
        tries--;
    }
    if (tries == 0) {
        g->run.outcome = LIMEN_BROKEN;
    }
    g->shares[slot] = LIMEN_CLAIMED;
    g->ports[p].next =
        (uint16_t)(slot + 1 == (unsigned)plan->first + plan->depth ? plan->first : slot + 1);
    return slot;
}

LIMEN_FN void limen_release(LIMEN_GRAPH *g, unsigned p, unsigned slot) {
    if (!limen_ports[p].in_turn) {
        g->shares[slot]--;
    }
}

/* Give back what was claimed last and not sent. */
LIMEN_FN void limen_unclaim(LIMEN_GRAPH *g, unsigned p, unsigned slot) {
    if (!limen_ports[p].in_turn) {
        g->shares[slot] = 0;
    }
    g->ports[p].next = (uint16_t)slot;
}

LIMEN_FN unsigned char *limen_payload(LIMEN_GRAPH *g, unsigned p, unsigned slot) {
    const limen_port_plan *const plan = &limen_ports[p];
    return (unsigned char *)g + plan->payloads + (size_t)(slot - plan->first) * plan->slot_bytes;
}

/* Rings and holds are circles of entries; of an edge with two lanes the urgent one lies behind. */

LIMEN_FN unsigned limen_turned(unsigned place, unsigned size) {
    return place >= size ? place - size : place;
}

LIMEN_FN unsigned limen_waiting(const LIMEN_GRAPH *g, unsigned e) {
#if LIMEN_LANES
    return (unsigned)g->edges[e].count + g->edges[e].urgent;
#else
    return g->edges[e].count;
#endif
}

/* The entry at a place of what waits: as it would be taken, or as it would be evicted. */
LIMEN_FN limen_entry *limen_at(LIMEN_GRAPH *g, unsigned e, unsigned place, bool evicting) {
    const limen_edge_plan *const plan = &limen_edges[e];
    const limen_edge *const edge = &g->edges[e];
#if LIMEN_LANES
    if (plan->lanes) {
        const unsigned first = evicting ? edge->count : edge->urgent;
        const bool urgent = evicting ? place >= first : place < first;
        const unsigned at = place < first ? place : place - first;
        if (urgent) {
            return &g->entries[plan->ring + plan->room +
                               limen_turned((unsigned)edge->urgent_head + at, plan->room)];
        }
        return &g->entries[plan->ring + limen_turned((unsigned)edge->head + at, plan->room)];
    }
#endif
    (void)evicting;
    return &g->entries[plan->ring + limen_turned((unsigned)edge->head + place, plan->room)];
}

LIMEN_FN limen_entry limen_pop(LIMEN_GRAPH *g, unsigned e, bool evicting) {
    const limen_edge_plan *const plan = &limen_edges[e];
    limen_edge *const edge = &g->edges[e];
    const limen_entry entry = *limen_at(g, e, 0, evicting);
#if LIMEN_LANES
    if (plan->lanes && (evicting ? edge->count == 0 : edge->urgent != 0)) {
        edge->urgent_head = (uint16_t)limen_turned(edge->urgent_head + 1u, plan->room);
        edge->urgent--;
        return entry;
    }
#endif
    edge->head = (uint16_t)limen_turned(edge->head + 1u, plan->room);
    edge->count--;
    return entry;
}

/* The entry at a place of what the consumer holds. */
LIMEN_FN limen_entry *limen_held(LIMEN_GRAPH *g, unsigned e, unsigned place) {
    const limen_edge_plan *const plan = &limen_edges[e];
    return &g->entries[plan->hold +
                       limen_turned((unsigned)g->edges[e].hold_head + place, plan->hold_room)];
}

LIMEN_FN limen_tick limen_pushed(const limen_entry *entry) {
#if LIMEN_PUSHED
    return entry->pushed;
#else
    (void)entry;
    return 0;
#endif
}

LIMEN_FN const limen_header *limen_header_of(const LIMEN_GRAPH *g, const limen_entry *entry) {
    return &g->headers[entry->slot];
}

/* The deadline that holds at the edge's consumer, LIMEN_NONE for none. */
LIMEN_FN int64_t limen_deadline(const LIMEN_GRAPH *g, unsigned e, const limen_entry *entry) {
    const int64_t own = limen_deadline_of(&g->headers[entry->slot]);
    if (own != LIMEN_NONE || limen_edges[e].default_ns == LIMEN_NONE) {
        return own;
    }
    return limen_to_ns(limen_pushed(entry)) + limen_edges[e].default_ns;
}
