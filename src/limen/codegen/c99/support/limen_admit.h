/* Limen: what an output does to its edges: admission, staging, ends. Included by limen_core.h. */

LIMEN_FN bool limen_fits(const LIMEN_GRAPH *g, unsigned e) {
    return limen_waiting(g, e) < limen_edges[e].fits;
}

LIMEN_FN bool limen_is_hard(const LIMEN_GRAPH *g, unsigned e) {
    return limen_waiting(g, e) >= limen_edges[e].hard;
}

LIMEN_FN bool limen_is_pressed(const LIMEN_GRAPH *g, unsigned e) {
    return limen_waiting(g, e) >= limen_edges[e].soft;
}

/* Whether a producer may step: a BLOCK edge must be below its hard caps. */
LIMEN_FN bool limen_has_room(const LIMEN_GRAPH *g, unsigned e) {
    if (limen_edges[e].admission != LIMEN_BLOCK || g->edges[e].consumer_ended) {
        return true;
    }
    return g->edges[e].staged == 0 && !limen_is_hard(g, e);
}

LIMEN_FN void limen_push(LIMEN_GRAPH *g, unsigned e, unsigned slot, const char *reason) {
    const limen_edge_plan *const plan = &limen_edges[e];
    limen_edge *const edge = &g->edges[e];
    limen_entry *entry;
    (void)reason;
#if LIMEN_LANES
    if (plan->lanes && g->headers[slot].qos == LIMEN_LATENCY_CRITICAL) {
        entry = &g->entries[plan->ring + plan->room +
                            limen_turned((unsigned)edge->urgent_head + edge->urgent, plan->room)];
        edge->urgent++;
    } else
#endif
    {
        entry =
            &g->entries[plan->ring + limen_turned((unsigned)edge->head + edge->count, plan->room)];
        edge->count++;
    }
    entry->slot = (uint16_t)slot;
#if LIMEN_MARKS
    entry->marks = 0;
#endif
#if LIMEN_PUSHED
    entry->pushed = g->run.tick;
#endif
#if LIMEN_LIVENESS
    edge->last_push = g->run.tick;
#endif
#if LIMEN_COUNTS
    edge->counts.pushed++;
    if (limen_waiting(g, e) > edge->counts.peak) {
        edge->counts.peak = (uint16_t)limen_waiting(g, e);
    }
#endif
    LIMEN_NOTE(limen_edge_names[e], "push", g->headers[slot].sequence, reason);
}

LIMEN_FN void limen_refuse(LIMEN_GRAPH *g, unsigned e, unsigned slot, unsigned why) {
    LIMEN_NOTE(limen_edge_names[e], "refuse", g->headers[slot].sequence, limen_refusal_names[why]);
    limen_release(g, limen_edges[e].port, slot);
    LIMEN_COUNT(g->edges[e].counts.refused[why]);
    if (why == LIMEN_FULL) {
        g->edges[e].pressed = true;
    }
}

LIMEN_FN void limen_evict(LIMEN_GRAPH *g, unsigned e, unsigned why) {
    const limen_entry entry = limen_pop(g, e, true);
    (void)why;
    LIMEN_NOTE(limen_edge_names[e], "evict", g->headers[entry.slot].sequence,
               limen_eviction_names[why]);
    limen_release(g, limen_edges[e].port, entry.slot);
    LIMEN_COUNT(g->edges[e].counts.evicted[why]);
    g->edges[e].pressed = true;
}

#if LIMEN_STAGES
LIMEN_FN void limen_stage(LIMEN_GRAPH *g, unsigned e, unsigned slot) {
    const limen_edge_plan *const plan = &limen_edges[e];
    limen_edge *const edge = &g->edges[e];
    g->staged[plan->stage + limen_turned((unsigned)edge->stage_head + edge->staged,
                                         plan->stage_room)] = (uint16_t)slot;
    edge->staged++;
    edge->pressed = true;
    LIMEN_NOTE(limen_edge_names[e], "stage", g->headers[slot].sequence, "");
}

LIMEN_FN unsigned limen_unstage(LIMEN_GRAPH *g, unsigned e) {
    const limen_edge_plan *const plan = &limen_edges[e];
    limen_edge *const edge = &g->edges[e];
    const unsigned slot = g->staged[plan->stage + edge->stage_head];
    edge->stage_head = (uint16_t)limen_turned(edge->stage_head + 1u, plan->stage_room);
    edge->staged--;
    return slot;
}
#endif

#if LIMEN_AWARE
LIMEN_FN bool limen_is_expired(const LIMEN_GRAPH *g, unsigned e, int64_t deadline_ns) {
    return deadline_ns != LIMEN_NONE && limen_to_ns(g->run.tick) > deadline_ns + limen_edges[e].slack_ns;
}

/* Evict what is expired or of lower class until the newcomer fits; false: nothing was evicted. */
LIMEN_FN bool limen_evict_lesser(LIMEN_GRAPH *g, unsigned e, unsigned slot) {
    const unsigned waiting = limen_waiting(g, e);
    unsigned count;
    unsigned i;
    for (count = 0; waiting - count >= limen_edges[e].fits; count++) {
        const limen_entry *entry;
        if (count == waiting) {
            return false;
        }
        entry = limen_at(g, e, count, true);
        if (!limen_is_expired(g, e, limen_deadline(g, e, entry)) &&
            g->headers[entry->slot].qos >= g->headers[slot].qos) {
            return false;
        }
    }
    for (i = 0; i < count; i++) {
        const int64_t deadline_ns = limen_deadline(g, e, limen_at(g, e, 0, true));
        limen_evict(g, e,
                    limen_is_expired(g, e, deadline_ns) ? LIMEN_EVICTED_EXPIRED : LIMEN_LOWER_QOS);
    }
    return true;
}

/* Admission by deadline and class; whether the newcomer was handled. */
LIMEN_FN bool limen_refuses(LIMEN_GRAPH *g, unsigned e, unsigned slot) {
    int64_t deadline_ns = limen_deadline_of(&g->headers[slot]);
    if (deadline_ns == LIMEN_NONE && limen_edges[e].default_ns != LIMEN_NONE) {
        deadline_ns = limen_to_ns(g->run.tick) + limen_edges[e].default_ns;
    }
    if (limen_is_expired(g, e, deadline_ns)) {
        limen_refuse(g, e, slot, LIMEN_EXPIRED);
        return true;
    }
    if (limen_fits(g, e)) {
        if (limen_is_pressed(g, e) && g->headers[slot].qos == LIMEN_BACKGROUND) {
            limen_refuse(g, e, slot, LIMEN_BACKGROUND_FULL);
            return true;
        }
        return false;
    }
    if (!limen_evict_lesser(g, e, slot)) {
        limen_refuse(g, e, slot, LIMEN_FULL);
        return true;
    }
    return false;
}
#endif

/* Decide about a stored message and act on the decision. */
LIMEN_FN void limen_offer(LIMEN_GRAPH *g, unsigned e, unsigned slot) {
    const limen_edge_plan *const plan = &limen_edges[e];
    LIMEN_COUNT(g->edges[e].counts.offered);
    if (g->edges[e].consumer_ended) {
        limen_refuse(g, e, slot, LIMEN_CONSUMER_ENDED);
        return;
    }
    if (plan->fits == 0) {
        limen_refuse(g, e, slot, LIMEN_TOO_LARGE);
        return;
    }
#if LIMEN_STAGES
    if (plan->admission == LIMEN_BLOCK && g->edges[e].staged != 0) {
        limen_stage(g, e, slot);
        return;
    }
#endif
#if LIMEN_AWARE
    if (plan->admission == LIMEN_AWARE_OF_DEADLINES && limen_refuses(g, e, slot)) {
        return;
    }
#endif
    if (!limen_fits(g, e)) {
        switch (plan->admission) {
        case LIMEN_DROP_NEWEST:
            limen_refuse(g, e, slot, LIMEN_FULL);
            return;
#if LIMEN_STAGES
        case LIMEN_BLOCK:
            limen_stage(g, e, slot);
            return;
#endif
        default:
            while (!limen_fits(g, e)) {
                limen_evict(g, e, plan->supersedes ? LIMEN_SUPERSEDED : LIMEN_CAPACITY);
            }
            break;
        }
    }
    limen_push(g, e, slot, "");
}

/* Send a claimed slot, whose header and payload lie there, to every edge of its output. */
LIMEN_FN void limen_send(LIMEN_GRAPH *g, unsigned p, unsigned slot) {
    const limen_port_plan *const plan = &limen_ports[p];
    unsigned i;
    if (!plan->in_turn) {
        g->shares[slot] = plan->fan_out;
    }
    LIMEN_COUNT(g->ports[p].emitted);
    for (i = 0; i < plan->fan_out; i++) {
        limen_offer(g, limen_out_edges[plan->edges + i], slot);
    }
}

/* Move staged messages into the ring, as many as fit; whether any moved. */
LIMEN_FN bool limen_flush(LIMEN_GRAPH *g, unsigned e) {
    bool moved = false;
#if LIMEN_STAGES
    while (limen_edges[e].admission == LIMEN_BLOCK && g->edges[e].staged != 0 &&
           limen_fits(g, e)) {
        limen_push(g, e, limen_unstage(g, e), "unstaged");
        moved = true;
    }
#else
    (void)g;
    (void)e;
#endif
    return moved;
}

/* Close the edge once its producer has ended and nothing is staged; whether it closed. */
LIMEN_FN bool limen_close_if_done(LIMEN_GRAPH *g, unsigned e) {
    limen_edge *const edge = &g->edges[e];
    if (edge->producer_ended && edge->staged == 0 && !edge->closed) {
        edge->closed = true;
        return true;
    }
    return false;
}
