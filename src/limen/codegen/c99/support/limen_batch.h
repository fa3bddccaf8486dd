/* Limen: what an input may present: ages, deadlines, prefixes, the hold. Included by limen_core.h. */

LIMEN_FN bool limen_is_stale(const LIMEN_GRAPH *g, unsigned e, const limen_entry *entry) {
#if LIMEN_FRESHNESS || LIMEN_AGES
    const limen_header *const header = limen_header_of(g, entry);
    const limen_tick age = g->run.tick - header->creation;
    (void)e;
#if LIMEN_FRESHNESS
    if (limen_edges[e].max_age != LIMEN_NONE && age > limen_edges[e].max_age) {
        return true;
    }
    if (limen_edges[e].max_span_age != LIMEN_NONE &&
        g->run.tick - header->origin > limen_edges[e].max_span_age) {
        return true;
    }
#endif
    return limen_max_age_of(header) != LIMEN_NONE && limen_to_ns(age) > limen_max_age_of(header);
#else
    (void)g;
    (void)e;
    (void)entry;
    return false;
#endif
}

LIMEN_FN bool limen_delivers(unsigned e) {
#if LIMEN_FRESHNESS
    return limen_edges[e].delivers;
#else
    (void)e;
    return false;
#endif
}

/* Why a message that was never presented may not be; LIMEN_KEPT where it may. */
LIMEN_FN unsigned limen_unfit(const LIMEN_GRAPH *g, unsigned e, const limen_entry *entry) {
    if (!limen_delivers(e) && limen_is_stale(g, e, entry)) {
        return LIMEN_DROP_STALE;
    }
#if LIMEN_EXPIRES
    const limen_edge_plan *const plan = &limen_edges[e];
    if (!plan->latch && (plan->requires_deadline || plan->drops_late)) {
        const int64_t deadline_ns = limen_deadline(g, e, entry);
        const int64_t now_ns = limen_to_ns(g->run.tick);
        if (deadline_ns == LIMEN_NONE) {
            return plan->requires_deadline ? LIMEN_DROP_NO_DEADLINE : LIMEN_KEPT;
        }
        if (plan->drops_late && now_ns > deadline_ns + plan->slack_ns) {
            return LIMEN_DROP_EXPIRED;
        }
        if (plan->drops_late && now_ns + plan->budget_ns > deadline_ns + plan->slack_ns) {
            return LIMEN_DROP_INFEASIBLE;
        }
    }
#endif
    return LIMEN_KEPT;
}

LIMEN_FN void limen_mark_stale(LIMEN_GRAPH *g, unsigned e, unsigned place) {
#if LIMEN_MARKS
    limen_entry *const entry = limen_held(g, e, place);
    if (limen_delivers(e) && entry->marks == 0 && limen_is_stale(g, e, entry)) {
        entry->marks = LIMEN_STALE;
        LIMEN_COUNT(g->edges[e].counts.stale);
    }
#else
    (void)g;
    (void)e;
    (void)place;
#endif
}

/* Move the front of the ring into the hold. */
LIMEN_FN void limen_take(LIMEN_GRAPH *g, unsigned e) {
    limen_edge *const edge = &g->edges[e];
    const limen_entry entry = limen_pop(g, e, false);
    *limen_held(g, e, edge->held) = entry;
    edge->held++;
    LIMEN_COUNT(edge->counts.taken);
    g->run.took = true;
    edge->pressed = false;
    LIMEN_NOTE(limen_edge_names[e], "take", g->headers[entry.slot].sequence, "");
}

/* Take an entry out of the hold and give its share of the slot back. */
LIMEN_FN void limen_give_back(LIMEN_GRAPH *g, unsigned e, unsigned place) {
    const limen_edge_plan *const plan = &limen_edges[e];
    limen_edge *const edge = &g->edges[e];
    unsigned i;
    limen_release(g, plan->port, limen_held(g, e, place)->slot);
    for (i = place; i != 0; i--) {
        *limen_held(g, e, i) = *limen_held(g, e, i - 1);
    }
    edge->hold_head = (uint16_t)limen_turned(edge->hold_head + 1u, plan->hold_room);
    edge->held--;
    if (place < edge->presented) {
        edge->presented--;
    }
}

LIMEN_FN void limen_consume(LIMEN_GRAPH *g, unsigned e) {
    limen_give_back(g, e, 0);
    LIMEN_COUNT(g->edges[e].counts.consumed);
}

LIMEN_FN void limen_drop(LIMEN_GRAPH *g, unsigned e, unsigned place, unsigned why) {
    LIMEN_NOTE(limen_edge_names[e], "drop", g->headers[limen_held(g, e, place)->slot].sequence,
               limen_drop_names[why]);
    limen_give_back(g, e, place);
    LIMEN_COUNT(g->edges[e].counts.dropped[why]);
    (void)why;
}

LIMEN_FN void limen_leave(LIMEN_GRAPH *g, unsigned e, unsigned why) {
    if (why == LIMEN_KEPT) {
        limen_consume(g, e);
    } else {
        limen_drop(g, e, 0, why);
    }
}

/* Drop what stands in front and may not be presented; whether anything did. */
LIMEN_FN bool limen_purge(LIMEN_GRAPH *g, unsigned e) {
    bool purged = false;
#if LIMEN_FRESHNESS || LIMEN_AGES || LIMEN_EXPIRES
    limen_edge *const edge = &g->edges[e];
    while (edge->held != 0 && !limen_delivers(e) && limen_is_stale(g, e, limen_held(g, e, 0))) {
        limen_drop(g, e, 0, LIMEN_DROP_STALE);
        purged = true;
    }
    while (limen_waiting(g, e) != 0) {
        const unsigned why = limen_unfit(g, e, limen_at(g, e, 0, false));
        if (why == LIMEN_KEPT) {
            break;
        }
        limen_take(g, e);
        limen_drop(g, e, edge->held - 1u, why);
        purged = true;
    }
#else
    (void)g;
    (void)e;
#endif
    return purged;
}

/* Batches: what was presented before counts first, then what waits. */

#if LIMEN_BATCHES
typedef struct limen_prefix {
    unsigned released; /* held ones that share no window with the next new one */
    unsigned length;   /* presented, the other held ones included; 0 without anything new */
} limen_prefix;

LIMEN_FN const limen_entry *limen_member(LIMEN_GRAPH *g, unsigned e, unsigned place) {
    const unsigned presented = g->edges[e].presented;
    return place < presented ? limen_held(g, e, place) : limen_at(g, e, place - presented, false);
}

LIMEN_FN unsigned limen_length_from(LIMEN_GRAPH *g, unsigned e, unsigned first, unsigned count) {
    const limen_edge_plan *const plan = &limen_edges[e];
    unsigned most = count - first < plan->batch ? count - first : plan->batch;
#if LIMEN_DELTAS
    if (plan->delta != LIMEN_NONE) {
        const limen_tick limit =
            limen_header_of(g, limen_member(g, e, first))->creation + plan->delta;
        unsigned offset;
        for (offset = 1; offset < most; offset++) {
            if (limen_header_of(g, limen_member(g, e, first + offset))->creation > limit) {
                return offset;
            }
        }
    }
#else
    (void)g;
#endif
    return most;
}

LIMEN_FN limen_prefix limen_measure(LIMEN_GRAPH *g, unsigned e) {
    const unsigned held = g->edges[e].presented;
    const unsigned waiting = limen_waiting(g, e);
    limen_prefix prefix = {0, 0};
    if (waiting == 0) {
        return prefix;
    }
    for (; prefix.released < held; prefix.released++) {
        prefix.length = limen_length_from(g, e, prefix.released, held + waiting);
        if (prefix.released + prefix.length > held) {
            return prefix;
        }
    }
    prefix.length = limen_length_from(g, e, held, held + waiting);
    return prefix;
}
#endif

/* New messages that a step would take now. */
LIMEN_FN unsigned limen_new_ones(LIMEN_GRAPH *g, unsigned e) {
#if LIMEN_BATCHES
    const limen_prefix prefix = limen_measure(g, e);
    return prefix.released + prefix.length - g->edges[e].presented;
#else
    return limen_waiting(g, e) != 0;
#endif
}

/* Whether a step could present what waits on an input that is no latch. */
LIMEN_FN bool limen_is_ready(LIMEN_GRAPH *g, unsigned e) {
    if (limen_waiting(g, e) == 0) {
        return false;
    }
#if LIMEN_BATCHES
    {
        const limen_edge_plan *const plan = &limen_edges[e];
        const limen_edge *const edge = &g->edges[e];
        limen_prefix prefix;
        bool timed = false;
#if LIMEN_DELTAS
        timed = plan->delta != LIMEN_NONE;
#endif
        if (plan->batch == 1 && !timed) {
            return true;
        }
        if (edge->closed || edge->pressed || limen_is_hard(g, e) ||
            (edge->staged != 0 && !limen_fits(g, e))) {
            return true;
        }
        prefix = limen_measure(g, e);
        if (prefix.length == plan->batch ||
            prefix.released + prefix.length < (unsigned)edge->presented + limen_waiting(g, e)) {
            return true;
        }
#if LIMEN_DELTAS
        return timed && g->run.tick >= limen_pushed(limen_member(g, e, prefix.released)) + plan->delta;
#else
        return false;
#endif
    }
#else
    return true;
#endif
}

/* The instant at which time closes the batch that is filling; LIMEN_NEVER where none does. */
LIMEN_FN limen_tick limen_closes_at(LIMEN_GRAPH *g, unsigned e) {
#if LIMEN_DELTAS
    if (limen_edges[e].delta != LIMEN_NONE && limen_waiting(g, e) != 0) {
        return limen_pushed(limen_member(g, e, limen_measure(g, e).released)) +
               limen_edges[e].delta;
    }
#else
    (void)g;
    (void)e;
#endif
    return LIMEN_NEVER;
}

/* Take what the batching grants now, behind what the hold keeps of the last window; whether there
   was anything new. */
LIMEN_FN bool limen_take_prefix(LIMEN_GRAPH *g, unsigned e) {
    limen_edge *const edge = &g->edges[e];
    unsigned fresh = limen_new_ones(g, e);
    const bool took = fresh != 0;
    unsigned place = 0;
#if LIMEN_BATCHES
    unsigned released = limen_measure(g, e).released;
    for (; released != 0; released--) {
        limen_consume(g, e);
    }
#endif
    while (LIMEN_BATCHES && place < edge->held) {
        if (!limen_delivers(e) && limen_is_stale(g, e, limen_held(g, e, place))) {
            limen_drop(g, e, place, LIMEN_DROP_STALE);
        } else {
            limen_mark_stale(g, e, place);
            place++;
        }
    }
    for (; fresh != 0; fresh--) {
        unsigned why;
        limen_take(g, e);
        why = limen_unfit(g, e, limen_held(g, e, edge->held - 1u));
        if (why != LIMEN_KEPT) {
            limen_drop(g, e, edge->held - 1u, why);
        } else {
            limen_mark_stale(g, e, edge->held - 1u);
        }
    }
    return took;
}

#if LIMEN_LATCHES
/* Move a latch's newer value into the hold, where it replaces the older; whether there was one. */
LIMEN_FN bool limen_refresh(LIMEN_GRAPH *g, unsigned e) {
    const bool newer = limen_waiting(g, e) != 0;
    if (newer) {
        if (g->edges[e].held != 0) {
            limen_consume(g, e);
        }
        limen_take(g, e);
        g->edges[e].presented = 1;
    }
    if (g->edges[e].held != 0) {
        limen_mark_stale(g, e, 0);
    }
    return newer;
}
#endif

/* Give up all that is here, because the consumer ends. */
LIMEN_RARE void limen_end_input(LIMEN_GRAPH *g, unsigned e, unsigned drop, unsigned refusal) {
    limen_edge *const edge = &g->edges[e];
    edge->consumer_ended = true;
    while (edge->presented != 0) {
        limen_consume(g, e);
    }
    while (edge->held != 0) {
        limen_drop(g, e, 0, drop);
    }
    while (limen_waiting(g, e) != 0) {
        limen_take(g, e);
        limen_drop(g, e, edge->held - 1u, drop);
    }
#if LIMEN_STAGES
    while (limen_edges[e].admission == LIMEN_BLOCK && edge->staged != 0) {
        limen_refuse(g, e, limen_unstage(g, e), refusal);
    }
#else
    (void)refusal;
#endif
}
