/* Limen: decision points: limits, liveness, judging, choosing, one step, or a wait.
   Included by limen_core.h. */

LIMEN_FN unsigned limen_out_edge(unsigned n, unsigned i) {
    return limen_out_edges[limen_nodes[n].out_edges + i];
}

/* End a node: what waits for it is given up, its outputs close once nothing is staged. */
LIMEN_RARE void limen_end(LIMEN_GRAPH *g, unsigned n, const char *reason, unsigned drop) {
    const unsigned refusal = drop == LIMEN_DROP_STOPPED ? LIMEN_STOPPED_OFFER : LIMEN_CONSUMER_ENDED;
    unsigned i;
    (void)reason;
    if (g->nodes[n].ended) {
        return;
    }
    g->nodes[n].ended = true;
    g->run.ended++;
    LIMEN_NOTE(limen_node_names[n], "end", -1, reason);
    for (i = 0; i < limen_nodes[n].inputs; i++) {
        limen_end_input(g, limen_in_edge(n, i), drop, refusal);
    }
    for (i = 0; i < limen_nodes[n].outs; i++) {
        g->edges[limen_out_edge(n, i)].producer_ended = true;
        limen_close_if_done(g, limen_out_edge(n, i));
    }
}

/* Inputs: what readiness and ends of the consumer see. */

LIMEN_FN bool limen_is_closed(const LIMEN_GRAPH *g, unsigned e) {
    return g->edges[e].closed && limen_waiting(g, e) == 0;
}

LIMEN_FN bool limen_is_primed(const LIMEN_GRAPH *g, unsigned e) {
    return g->edges[e].held != 0 || limen_waiting(g, e) != 0;
}

LIMEN_FN bool limen_state_ready(LIMEN_GRAPH *g, unsigned e) {
    return limen_is_latch(e) ? limen_waiting(g, e) != 0 : limen_is_ready(g, e);
}

LIMEN_FN bool limen_latches_primed(const LIMEN_GRAPH *g, unsigned n) {
#if LIMEN_LATCHES
    unsigned i;
    for (i = 0; i < limen_nodes[n].inputs; i++) {
        const unsigned e = limen_in_edge(n, i);
        if (limen_is_latch(e) && limen_edges[e].required && !limen_is_primed(g, e)) {
            return false;
        }
    }
#else
    (void)g;
    (void)n;
#endif
    return true;
}

LIMEN_FN bool limen_inputs_ready(LIMEN_GRAPH *g, unsigned n) {
    const limen_node_plan *const plan = &limen_nodes[n];
    bool needs_any = true;
    unsigned i;
    if (plan->activation == LIMEN_PERIODIC) {
        return limen_latches_primed(g, n);
    }
    for (i = 0; i < plan->inputs; i++) {
        const unsigned e = limen_in_edge(n, i);
        switch (plan->activation) {
        case LIMEN_ANY:
            if (!limen_is_latch(e) && limen_is_ready(g, e)) {
                return true;
            }
            break;
        case LIMEN_TRIGGER:
            if (limen_edges[e].trigger && limen_state_ready(g, e)) {
                return true;
            }
            break;
        default:
            if (!limen_is_latch(e) && limen_edges[e].required) {
                if (!limen_is_ready(g, e)) {
                    return false;
                }
                needs_any = false;
            }
            break;
        }
    }
    return plan->activation == LIMEN_ALL && !needs_any && limen_latches_primed(g, n);
}

LIMEN_FN bool limen_inputs_ended(const LIMEN_GRAPH *g, unsigned n) {
    const limen_node_plan *const plan = &limen_nodes[n];
    unsigned flows = 0;
    unsigned open_flows = 0;
    unsigned forward = 0;
    unsigned open_forward = 0;
    unsigned i;
    for (i = 0; i < plan->inputs; i++) {
        const unsigned e = limen_in_edge(n, i);
        const bool closed = limen_is_closed(g, e);
        if (limen_edges[e].feedback) {
            continue;
        }
        forward++;
        open_forward += !closed;
        if (!limen_is_latch(e)) {
            flows++;
            open_flows += !closed;
        }
        if (!closed) {
            continue;
        }
        if (plan->activation == LIMEN_TRIGGER && limen_edges[e].trigger) {
            return true;
        }
        if (limen_edges[e].required && (plan->activation == LIMEN_ALL ||
                                        (plan->activation == LIMEN_PERIODIC && limen_is_latch(e)))) {
            if (!(limen_is_latch(e) && limen_is_primed(g, e))) {
                return true;
            }
        }
    }
    if (plan->activation == LIMEN_ANY) {
        return flows != 0 && open_flows == 0;
    }
    if (plan->activation == LIMEN_PERIODIC) {
        return flows != 0 ? open_flows == 0 : forward != 0 && open_forward == 0;
    }
    return false;
}

/* Periods. */

#if LIMEN_PERIODS
/* Move to the next instant of the grid; those that no step used are counted. */
LIMEN_FN void limen_use_period(LIMEN_GRAPH *g, unsigned n, bool missed) {
    limen_node *const node = &g->nodes[n];
    const limen_tick period = limen_nodes[n].period;
    limen_tick passed;
    if (limen_nodes[n].activation != LIMEN_PERIODIC) {
        return;
    }
    passed = (g->run.tick - node->period_due) / period + 1;
    node->period_due += passed * period;
    if (!missed) {
        passed--;
    }
    if (passed != 0) {
        LIMEN_COUNT_BY(node->counts.missed_periods, (uint32_t)passed);
        LIMEN_NOTE(limen_node_names[n], "missed_periods", passed, "");
    }
}
#endif

LIMEN_FN bool limen_period_has_come(const LIMEN_GRAPH *g, unsigned n) {
#if LIMEN_PERIODS
    return limen_nodes[n].activation == LIMEN_PERIODIC &&
           g->nodes[n].period_due <= g->run.tick;
#else
    (void)g;
    (void)n;
    return false;
#endif
}

/* Judging. */

LIMEN_FN bool limen_rests(const LIMEN_GRAPH *g, unsigned n) {
    return g->nodes[n].produced_nothing || g->nodes[n].asleep_until > g->run.tick;
}

LIMEN_FN bool limen_wants_to_step(LIMEN_GRAPH *g, unsigned n, bool timed) {
    if (limen_rests(g, n)) {
        return false;
    }
#if LIMEN_SOURCES
    if (limen_nodes[n].shape == LIMEN_SOURCE) {
        return timed || limen_due(g, n) == LIMEN_UNTIMED;
    }
#endif
    (void)timed;
#if LIMEN_PERIODS
    if (limen_nodes[n].activation == LIMEN_PERIODIC && !limen_period_has_come(g, n)) {
        return false;
    }
#endif
    return limen_inputs_ready(g, n);
}

LIMEN_FN void limen_hold_back(LIMEN_GRAPH *g, unsigned n, bool timed) {
    if (limen_nodes[n].shape == LIMEN_SOURCE && limen_wants_to_step(g, n, timed)) {
        g->nodes[n].held_back = true;
    }
}

typedef enum { LIMEN_NOT_READY, LIMEN_UNDER_PRESSURE, LIMEN_READY } limen_readiness;

/* Judge one node; changed is set where that changed state. */
LIMEN_FN limen_readiness limen_judge(LIMEN_GRAPH *g, unsigned n, bool timed, bool *changed) {
    const limen_node_plan *const plan = &limen_nodes[n];
    bool staged = false;
    bool room = true;
    bool pressed = false;
    unsigned i;
    if (!g->nodes[n].ended) {
        bool forward = false;
        bool all = true;
        for (i = 0; i < plan->outs; i++) {
            const unsigned e = limen_out_edge(n, i);
            if (!limen_edges[e].feedback) {
                forward = true;
                all = all && g->edges[e].consumer_ended;
            }
        }
        if (forward && all) {
            limen_end(g, n, "consumers_ended", LIMEN_DROP_CONSUMER_ENDED);
            *changed = true;
        }
    }
    for (i = 0; i < plan->outs; i++) {
        const unsigned e = limen_out_edge(n, i);
        if (limen_flush(g, e)) {
            *changed = true;
        }
        if (limen_close_if_done(g, e)) {
            *changed = true;
        }
        staged = staged || g->edges[e].staged != 0;
    }
    if (g->nodes[n].ended) {
        return LIMEN_NOT_READY;
    }
    if (staged) {
        limen_hold_back(g, n, timed);
        return LIMEN_NOT_READY;
    }
    if (plan->shape != LIMEN_SOURCE) {
        for (i = 0; i < plan->inputs; i++) {
            if (limen_purge(g, limen_in_edge(n, i))) {
                *changed = true;
            }
        }
        if (limen_inputs_ended(g, n)) {
            limen_end(g, n, "end_of_stream", LIMEN_DROP_UNPAIRED);
            *changed = true;
            return LIMEN_NOT_READY;
        }
    }
    if (!limen_wants_to_step(g, n, timed)) {
#if LIMEN_PERIODS
        if (!limen_rests(g, n) && limen_period_has_come(g, n) && !limen_inputs_ready(g, n)) {
            limen_use_period(g, n, true);
            *changed = true;
        }
#endif
        return LIMEN_NOT_READY;
    }
    for (i = 0; i < plan->outs; i++) {
        const unsigned e = limen_out_edge(n, i);
        room = room && limen_has_room(g, e);
        pressed = pressed || limen_is_pressed(g, e);
    }
    if (!room) {
        limen_hold_back(g, n, timed);
        return LIMEN_NOT_READY;
    }
    return pressed ? LIMEN_UNDER_PRESSURE : LIMEN_READY;
}

/* The instant of a timed source that has come; LIMEN_NEVER where it is none or has not. */
LIMEN_FN limen_tick limen_due_now(LIMEN_GRAPH *g, unsigned n) {
    limen_tick due;
    if (limen_nodes[n].shape != LIMEN_SOURCE || g->nodes[n].produced_nothing ||
        g->nodes[n].ended) {
        return LIMEN_NEVER;
    }
#if LIMEN_SOURCES
    due = limen_due(g, n);
#else
    due = LIMEN_UNTIMED;
#endif
    return due == LIMEN_UNTIMED || due > g->run.tick ? LIMEN_NEVER : due;
}

/* Where the constants of a graph fold, each node has code of its own. */

LIMEN_FN limen_readiness limen_judge_one(LIMEN_GRAPH *g, unsigned n, bool timed, bool *changed) {
#if LIMEN_SPECIALISE
#define LIMEN_JUDGE_CASE(i) \
    case i: \
        return limen_judge(g, i, timed, changed);
    switch (n) {
        LIMEN_EACH_NODE(LIMEN_JUDGE_CASE)
    default:
        return LIMEN_NOT_READY;
    }
#else
    return limen_judge(g, n, timed, changed);
#endif
}

/* Choosing. */

#if LIMEN_SCHEDULER != LIMEN_CRITICALITY_FIRST && LIMEN_TIMED_COUNT != 0u
/* The timed source whose instant came first, if it can be stepped. */
LIMEN_FN unsigned limen_due_source(LIMEN_GRAPH *g) {
    limen_tick last = INT64_MIN;
    unsigned after = 0;
    for (;;) {
        limen_tick best = LIMEN_NEVER;
        unsigned chosen = LIMEN_NO_NODE;
        bool changed = false;
        unsigned i;
        for (i = 0; i < LIMEN_TIMED_COUNT; i++) {
            const unsigned n = limen_timed[i];
            const limen_tick due = limen_due_now(g, n);
            if (due != LIMEN_NEVER && due < best && (due > last || (due == last && n >= after))) {
                best = due;
                chosen = n;
            }
        }
        if (chosen == LIMEN_NO_NODE || limen_judge_one(g, chosen, true, &changed) != LIMEN_NOT_READY) {
            return chosen;
        }
        last = best;
        after = chosen + 1;
    }
}
#endif

#if LIMEN_SCHEDULER == LIMEN_ROUND_ROBIN
LIMEN_FN unsigned limen_judge_in_turn(LIMEN_GRAPH *g, bool *changed) {
    unsigned n = g->run.last;
    unsigned i;
    for (i = 0; i < LIMEN_NODES; i++) {
        n = n + 1 == LIMEN_NODES ? 0 : n + 1;
        if (limen_judge_one(g, n, false, changed) != LIMEN_NOT_READY) {
            return n;
        }
    }
    return LIMEN_NO_NODE;
}
#else
/* What a scheduler looks at of a node; the least of the keys is chosen, place by place. */
typedef struct limen_rank {
    int64_t keys[6];
} limen_rank;

LIMEN_FN limen_rank limen_rank_of(LIMEN_GRAPH *g, unsigned n, limen_readiness readiness,
                                  limen_tick due) {
    const limen_node_plan *const plan = &limen_nodes[n];
    limen_rank rank = {{0, 0, 0, 0, 0, 0}};
    int64_t deadline_ns = LIMEN_NONE;
    int64_t sequence = plan->shape == LIMEN_SOURCE ? g->ports[plan->ports].made : 0;
    int64_t items = 0;
    bool found = false;
    unsigned any = LIMEN_NO_EDGE;
    unsigned i;
    if (plan->activation == LIMEN_ANY && plan->shape != LIMEN_SOURCE) {
        any = limen_selected(g, n);
    }
    for (i = 0; i < plan->inputs; i++) {
        const unsigned e = limen_in_edge(n, i);
        const limen_entry *front;
        if (limen_is_latch(e) || limen_waiting(g, e) == 0 ||
            (plan->activation == LIMEN_ANY && e != any)) {
            continue;
        }
        front = limen_at(g, e, 0, false);
        if (limen_deadline(g, e, front) < deadline_ns) {
            deadline_ns = limen_deadline(g, e, front);
        }
        if (!found) {
            sequence = g->headers[front->slot].sequence;
            found = true;
        }
        items += plan->input_ports > 1 && plan->activation != LIMEN_ANY ? 1 : limen_new_ones(g, e);
    }
    if (items == 0) {
        items = 1;
    }
#if LIMEN_PERIODS
    if (plan->activation == LIMEN_PERIODIC &&
        limen_to_ns(g->nodes[n].period_due + plan->period) < deadline_ns) {
        deadline_ns = limen_to_ns(g->nodes[n].period_due + plan->period);
    }
#endif
#if LIMEN_SCHEDULER == LIMEN_MOST_FIRST
    rank.keys[0] = -(int64_t)readiness;
    rank.keys[1] = -items;
    (void)deadline_ns;
    (void)sequence;
    (void)due;
#elif LIMEN_SCHEDULER == LIMEN_CRITICALITY_FIRST
    rank.keys[0] = -(int64_t)plan->criticality;
    if (due != LIMEN_NEVER) {
        rank.keys[1] = 0;
        rank.keys[2] = due;
    } else {
        rank.keys[1] = 1;
        rank.keys[2] = -(int64_t)readiness;
        rank.keys[3] = deadline_ns;
        rank.keys[4] = sequence;
    }
    (void)items;
#else
    rank.keys[0] = deadline_ns;
    rank.keys[1] = sequence;
    (void)items;
    (void)readiness;
    (void)due;
#endif
    return rank;
}

LIMEN_FN unsigned limen_judge_all(LIMEN_GRAPH *g, bool *changed) {
    limen_rank best = {{0, 0, 0, 0, 0, 0}};
    unsigned chosen = LIMEN_NO_NODE;
    unsigned n;
    unsigned k;
    for (n = 0; n < LIMEN_NODES; n++) {
        limen_tick due = LIMEN_NEVER;
        limen_readiness readiness;
        limen_rank rank;
#if LIMEN_SCHEDULER == LIMEN_CRITICALITY_FIRST
        due = limen_due_now(g, n);
#endif
        readiness = limen_judge_one(g, n, due != LIMEN_NEVER, changed);
        if (readiness == LIMEN_NOT_READY) {
            continue;
        }
        rank = limen_rank_of(g, n, readiness, due);
        if (chosen == LIMEN_NO_NODE) {
            best = rank;
            chosen = n;
            continue;
        }
        for (k = 0; k < 5 && rank.keys[k] == best.keys[k]; k++) {
        }
        if (rank.keys[k] < best.keys[k]) {
            best = rank;
            chosen = n;
        }
    }
    return chosen;
}
#endif

LIMEN_FN unsigned limen_choose(LIMEN_GRAPH *g) {
    for (;;) {
        bool changed = false;
        unsigned chosen = LIMEN_NO_NODE;
#if LIMEN_SCHEDULER != LIMEN_CRITICALITY_FIRST && LIMEN_TIMED_COUNT != 0u
        chosen = limen_due_source(g);
        if (chosen != LIMEN_NO_NODE) {
            return chosen;
        }
#endif
#if LIMEN_SCHEDULER == LIMEN_ROUND_ROBIN
        chosen = limen_judge_in_turn(g, &changed);
#else
        chosen = limen_judge_all(g, &changed);
#endif
        if (chosen != LIMEN_NO_NODE) {
            g->run.last = (uint16_t)chosen;
            return chosen;
        }
        if (!changed) {
            return LIMEN_NO_NODE;
        }
    }
}

/* A step. */

#if LIMEN_RESTARTS
/* Restart a node until that succeeds or it has happened too often. */
LIMEN_RARE void limen_restart(LIMEN_GRAPH *g, unsigned n) {
    limen_node *const node = &g->nodes[n];
    node->failing &= (uint8_t)~LIMEN_RESTARTING;
    while (limen_nodes[n].on_error == LIMEN_RESTART && (node->failing & LIMEN_HALTS) == 0) {
        const unsigned count = limen_restarts_within(g, n) + 1;
        if (count > limen_nodes[n].restart_max) {
            node->failing |= LIMEN_HALTS;
            LIMEN_NOTE(limen_node_names[n], "error", -1, "halt_graph");
            break;
        }
        g->restarts[limen_nodes[n].restarts + node->restarted] = g->run.tick;
        node->restarted++;
        LIMEN_COUNT(node->counts.restarts);
        LIMEN_NOTE(limen_node_names[n], "restart", count, "");
        if (!limen_begin(g, n)) {
            LIMEN_COUNT(node->counts.errors);
            g->run.errors++;
            continue;
        }
        node->asleep_until = g->run.tick + limen_nodes[n].restart_backoff * ((limen_tick)1 << (count - 1));
        node->ended_stream = false;
        return;
    }
    node->asleep_until = g->run.tick;
    node->ended_stream = false;
}
#endif

LIMEN_FN bool limen_settle_failures(LIMEN_GRAPH *g, unsigned n) {
    if (g->nodes[n].failing == 0) {
        return false;
    }
    if ((g->nodes[n].failing & LIMEN_QUIESCES) != 0) {
        limen_end(g, n, "quiesced", LIMEN_DROP_CONSUMER_ENDED);
        return true;
    }
#if LIMEN_RESTARTS
    if ((g->nodes[n].failing & LIMEN_RESTARTING) != 0) {
        limen_restart(g, n);
        return true;
    }
#endif
    return false;
}

LIMEN_FN void limen_step_node(LIMEN_GRAPH *g, unsigned n) {
    const limen_node_plan *const plan = &limen_nodes[n];
    limen_node *const node = &g->nodes[n];
    limen_progress progress;
    LIMEN_COUNT(node->counts.steps);
    g->run.steps++;
    LIMEN_NOTE(limen_node_names[n], "step", -1, "");
    g->run.took = false;
#if LIMEN_LIVENESS
    node->last_step = g->run.tick;
#endif
#if LIMEN_PERIODS
    limen_use_period(g, n, false);
#endif
#if LIMEN_LATCHES
    {
        unsigned i;
        for (i = 0; i < plan->inputs; i++) {
            const unsigned e = limen_in_edge(n, i);
            if (limen_is_latch(e) && limen_refresh(g, e)) {
                limen_note_wait(g, n, limen_held(g, e, 0));
            }
        }
    }
#endif
#if LIMEN_RESUMES
    if (node->held_back) {
        node->held_back = false;
        limen_resume(g, n);
    }
#endif
    progress = limen_step_shape(g, n);
    if (limen_settle_failures(g, n)) {
        return;
    }
    if (progress == LIMEN_ENDS) {
        limen_end(g, n, node->ended_stream ? "end_of_stream" : "terminal",
                  node->ended_stream ? LIMEN_DROP_UNPAIRED : LIMEN_DROP_CONSUMER_ENDED);
        return;
    }
    if (plan->inputs != 0 && plan->activation != LIMEN_PERIODIC && !g->run.took &&
        node->asleep_until <= g->run.tick) {
        node->produced_nothing = true;
    }
}

LIMEN_FN void limen_step_one(LIMEN_GRAPH *g, unsigned n) {
#if LIMEN_SPECIALISE
#define LIMEN_STEP_CASE(i) \
    case i: \
        limen_step_node(g, i); \
        break;
    switch (n) {
        LIMEN_EACH_NODE(LIMEN_STEP_CASE)
    default:
        break;
    }
#else
    limen_step_node(g, n);
#endif
}

/* Liveness: by node, its inputs first. */

#if LIMEN_LIVENESS
LIMEN_FN void limen_check_liveness(LIMEN_GRAPH *g) {
    unsigned n;
    unsigned i;
    for (n = 0; n < LIMEN_NODES; n++) {
        limen_node *const node = &g->nodes[n];
        if (node->ended) {
            continue;
        }
        for (i = 0; i < limen_nodes[n].inputs; i++) {
            const unsigned e = limen_in_edge(n, i);
            limen_edge *const edge = &g->edges[e];
            if (limen_edges[e].gap != LIMEN_NONE && !edge->closed &&
                edge->reported != edge->last_push &&
                g->run.tick - edge->last_push > limen_edges[e].gap) {
                edge->reported = edge->last_push;
                LIMEN_COUNT(node->counts.silences);
                LIMEN_NOTE(limen_edge_names[e], "liveness", -1, "");
            }
        }
        if (limen_nodes[n].step_gap != LIMEN_NONE && node->reported != node->last_step &&
            g->run.tick - node->last_step > limen_nodes[n].step_gap) {
            node->reported = node->last_step;
            LIMEN_COUNT(node->counts.silences);
            LIMEN_NOTE(limen_node_names[n], "liveness", -1, "");
        }
    }
}
#endif

/* Waiting. */

LIMEN_FN void limen_earlier(const LIMEN_GRAPH *g, limen_tick due, limen_tick *first) {
    if (due > g->run.tick && due < *first) {
        *first = due;
    }
}

/* The earliest instant ahead at which something becomes due by itself. */
LIMEN_FN limen_tick limen_next_due(LIMEN_GRAPH *g) {
    limen_tick first = LIMEN_NEVER;
    unsigned n;
    unsigned i;
    for (n = 0; n < LIMEN_NODES; n++) {
        const limen_node *const node = &g->nodes[n];
        if (node->ended) {
            continue;
        }
        limen_earlier(g, node->asleep_until, &first);
#if LIMEN_PERIODS
        if (limen_nodes[n].activation == LIMEN_PERIODIC) {
            limen_earlier(g, node->period_due, &first);
        }
#endif
#if LIMEN_SOURCES
        if (limen_nodes[n].shape == LIMEN_SOURCE) {
            limen_earlier(g, limen_due(g, n), &first);
        }
#endif
        for (i = 0; i < limen_nodes[n].inputs; i++) {
            const unsigned e = limen_in_edge(n, i);
            if (!limen_is_latch(e)) {
                limen_earlier(g, limen_closes_at(g, e), &first);
            }
#if LIMEN_LIVENESS
            if (limen_edges[e].gap != LIMEN_NONE && !g->edges[e].closed &&
                g->edges[e].reported != g->edges[e].last_push) {
                limen_earlier(g, g->edges[e].last_push + limen_edges[e].gap + 1, &first);
            }
#endif
        }
#if LIMEN_LIVENESS
        if (limen_nodes[n].step_gap != LIMEN_NONE && node->reported != node->last_step) {
            limen_earlier(g, node->last_step + limen_nodes[n].step_gap + 1, &first);
        }
#endif
    }
    return first;
}

LIMEN_FN bool limen_is_polled(const LIMEN_GRAPH *g, unsigned n) {
    return limen_nodes[n].shape == LIMEN_SOURCE && g->nodes[n].produced_nothing &&
           !g->nodes[n].ended;
}

LIMEN_FN bool limen_is_full(const LIMEN_GRAPH *g, unsigned e) {
    return g->edges[e].staged != 0 || !limen_has_room(g, e);
}

#if LIMEN_STAGES
/* Whether a node waits for none but nodes that can move. */
LIMEN_RARE bool limen_can_move(LIMEN_GRAPH *g, unsigned n, const bool *moves) {
    const limen_node_plan *const plan = &limen_nodes[n];
    bool full = false;
    unsigned missing = 0;
    unsigned moving = 0;
    unsigned i;
    for (i = 0; i < plan->outs; i++) {
        const unsigned e = limen_out_edge(n, i);
        if (limen_is_full(g, e)) {
            full = true;
            if (!moves[limen_edges[e].consumer]) {
                return false;
            }
        }
    }
    if (full) {
        return true;
    }
    for (i = 0; i < plan->inputs; i++) {
        const unsigned e = limen_in_edge(n, i);
        bool lacks;
        switch (plan->activation) {
        case LIMEN_ANY:
            lacks = !limen_is_latch(e) && !limen_is_closed(g, e);
            break;
        case LIMEN_TRIGGER:
            lacks = limen_edges[e].trigger && !limen_state_ready(g, e);
            break;
        default:
            lacks = limen_edges[e].required &&
                    !(limen_is_latch(e) ? limen_is_primed(g, e) : limen_is_ready(g, e));
            break;
        }
        if (lacks) {
            missing++;
            moving += moves[limen_edges[e].producer];
        }
    }
    if (plan->activation == LIMEN_ANY) {
        for (i = 0; i < plan->inputs; i++) {
            const unsigned e = limen_in_edge(n, i);
            if (!limen_is_latch(e) && limen_is_ready(g, e)) {
                return false;
            }
        }
        return moving != 0;
    }
    return missing != 0 && moving == missing;
}
#endif

/* Whether a node is kept from stepping by a full output that nothing can ever empty. */
LIMEN_RARE bool limen_is_stuck(LIMEN_GRAPH *g) {
#if LIMEN_STAGES
    bool moves[LIMEN_NODES];
    bool changed = true;
    unsigned n;
    unsigned i;
    for (n = 0; n < LIMEN_NODES; n++) {
        moves[n] = limen_is_polled(g, n);
    }
    while (changed) {
        changed = false;
        for (n = 0; n < LIMEN_NODES; n++) {
            if (!moves[n] && !g->nodes[n].ended && limen_can_move(g, n, moves)) {
                moves[n] = true;
                changed = true;
            }
        }
    }
    for (n = 0; n < LIMEN_NODES; n++) {
        for (i = 0; !moves[n] && !g->nodes[n].ended && i < limen_nodes[n].outs; i++) {
            if (limen_is_full(g, limen_out_edge(n, i))) {
                return true;
            }
        }
    }
#else
    (void)g;
#endif
    return false;
}

/* Return when to be called again; the graph is deadlocked where nothing ever becomes due. */
LIMEN_FN limen_tick limen_wait(LIMEN_GRAPH *g) {
    limen_tick due = limen_next_due(g);
    bool polled = false;
    unsigned n;
    for (n = 0; n < LIMEN_NODES; n++) {
        polled = polled || limen_is_polled(g, n);
    }
    if (due == LIMEN_NEVER && (!polled || limen_is_stuck(g))) {
        g->run.outcome = LIMEN_DEADLOCKED;
        LIMEN_NOTE("graph", "deadlock", -1, "");
        return LIMEN_NEVER;
    }
    if (polled) {
        static const limen_tick pauses[LIMEN_PAUSES] = LIMEN_PAUSE_TICKS;
        const limen_tick ask = g->run.tick + pauses[g->run.idle_polls];
        if (ask < due) {
            due = ask;
        }
        if (g->run.idle_polls + 1u < LIMEN_PAUSES) {
            g->run.idle_polls++;
        }
    }
    if (g->run.draining && g->run.drain_until < due) {
        due = g->run.drain_until;
    }
    g->run.waits = true;
    return due;
}

/* Act on failures and stop requests; whether the run is over. */
LIMEN_FN bool limen_limits(LIMEN_GRAPH *g) {
    unsigned n;
    if (g->run.errors != 0) {
        for (n = 0; n < LIMEN_NODES; n++) {
            if ((g->nodes[n].failing & LIMEN_HALTS) != 0) {
                LIMEN_NOTE("graph", "halt", -1, "");
                g->run.outcome = LIMEN_HALTED;
                return true;
            }
        }
    }
    if (!g->run.stop_requested) {
        return false;
    }
    if (!g->run.draining) {
        g->run.draining = true;
        g->run.drain_until = g->run.tick + g->run.drain;
        for (n = 0; n < LIMEN_NODES; n++) {
            if (limen_nodes[n].shape == LIMEN_SOURCE) {
                limen_end(g, n, "stopped", LIMEN_DROP_STOPPED);
            }
        }
    }
    if (g->run.tick >= g->run.drain_until) {
        g->run.outcome = LIMEN_STOPPED;
        return true;
    }
    return false;
}

#if LIMEN_SPECIALISE && LIMEN_SCHEDULER == LIMEN_ROUND_ROBIN
/* Judge in turn and step the first candidate; LIMEN_NO_NODE where there is none. */
#define LIMEN_TURN_CASE(i) \
    case i: \
        if (limen_judge(g, i, false, &changed) != LIMEN_NOT_READY) { \
            g->run.last = (uint16_t)(i); \
            limen_step_node(g, i); \
            return true; \
        } \
        break;
LIMEN_FN bool limen_step_in_turn(LIMEN_GRAPH *g) {
    for (;;) {
        bool changed = false;
        unsigned n = g->run.last;
        unsigned i;
#if LIMEN_TIMED_COUNT != 0u
        const unsigned due = limen_due_source(g);
        if (due != LIMEN_NO_NODE) {
            limen_step_one(g, due);
            return true;
        }
#endif
        for (i = 0; i < LIMEN_NODES; i++) {
            n = n + 1 == LIMEN_NODES ? 0 : n + 1;
            switch (n) {
                LIMEN_EACH_NODE(LIMEN_TURN_CASE)
            default:
                break;
            }
        }
        if (!changed) {
            return false;
        }
    }
}
#endif

/* Make one decision; whether there is another to make at once. */
LIMEN_FN bool limen_decide(LIMEN_GRAPH *g, limen_tick *due) {
#if !(LIMEN_SPECIALISE && LIMEN_SCHEDULER == LIMEN_ROUND_ROBIN)
    unsigned chosen;
#endif
    *due = LIMEN_NEVER;
    if (g->run.outcome != LIMEN_RUNNING || limen_limits(g)) {
        return false;
    }
#if LIMEN_LIVENESS
    limen_check_liveness(g);
#endif
#if LIMEN_SPECIALISE && LIMEN_SCHEDULER == LIMEN_ROUND_ROBIN
    if (limen_step_in_turn(g)) {
        return true;
    }
#else
    chosen = limen_choose(g);
    if (chosen != LIMEN_NO_NODE) {
        limen_step_one(g, chosen);
        return true;
    }
#endif
    if (g->run.ended == LIMEN_NODES) {
        g->run.outcome = g->run.draining ? LIMEN_STOPPED : LIMEN_COMPLETED;
    } else {
        *due = limen_wait(g);
    }
    return false;
}

LIMEN_FN void limen_wake(LIMEN_GRAPH *g, limen_tick now) {
    unsigned n;
    if (!g->run.waits) {
        return;
    }
    g->run.waits = false;
    limen_sample(g, now);
    for (n = 0; n < LIMEN_NODES; n++) {
        g->nodes[n].produced_nothing = false;
    }
}

LIMEN_FN limen_tick limen_step(LIMEN_GRAPH *g, limen_tick now) {
    limen_tick due;
    limen_wake(g, now);
    while (limen_decide(g, &due)) {
    }
    return due;
}

LIMEN_RARE bool limen_start(LIMEN_GRAPH *g, limen_tick now) {
    unsigned n;
    g->run.tick = now;
    g->run.last = LIMEN_NODES - 1;
    for (n = 0; n < LIMEN_NODES; n++) {
        if (!limen_begin(g, n)) {
            g->run.outcome = LIMEN_FAILED;
            return false;
        }
    }
    g->run.outcome = LIMEN_RUNNING;
    limen_sample(g, LIMEN_NOW(g));
    for (n = 0; n < LIMEN_NODES; n++) {
#if LIMEN_PERIODS
        g->nodes[n].period_due = g->run.tick + limen_nodes[n].period;
#endif
#if LIMEN_LIVENESS
        g->nodes[n].last_step = g->run.tick;
        g->nodes[n].reported = INT64_MIN;
#endif
#if LIMEN_DEGRADES
        g->nodes[n].degrade.wait = limen_nodes[n].recover_after;
        g->nodes[n].degrade.counts = true;
#endif
    }
    for (n = 0; n < LIMEN_PORTS; n++) {
        g->ports[n].next = limen_ports[n].first;
    }
#if LIMEN_LIVENESS
    for (n = 0; n < LIMEN_EDGES; n++) {
        g->edges[n].last_push = g->run.tick;
        g->edges[n].reported = INT64_MIN;
    }
#endif
    return true;
}

LIMEN_RARE void limen_stop(LIMEN_GRAPH *g) {
    unsigned n;
    for (n = 0; n < LIMEN_NODES; n++) {
        limen_end(g, n, "stopped", LIMEN_DROP_STOPPED);
    }
    if (g->run.outcome == LIMEN_RUNNING) {
        g->run.outcome = LIMEN_STOPPED;
    }
}

/* Put the initial tokens of an edge that closes a cycle into its ring. */
LIMEN_RARE void limen_begin_feedback(LIMEN_GRAPH *g, unsigned e, unsigned n, unsigned count,
                                     const unsigned char *payloads) {
    const unsigned p = limen_edges[e].port;
    unsigned i;
    for (i = 0; i < count; i++) {
        const unsigned slot = limen_claim(g, p);
        g->headers[slot] = limen_new_header(g, n, i);
        memcpy(limen_payload(g, p, slot), payloads + (size_t)i * limen_ports[p].slot_bytes,
               limen_ports[p].slot_bytes);
        if (!limen_ports[p].in_turn) {
            g->shares[slot] = 1;
        }
        LIMEN_COUNT(g->edges[e].counts.offered);
        if (limen_fits(g, e)) {
            limen_push(g, e, slot, "initial");
        } else {
            limen_refuse(g, e, slot, LIMEN_FULL);
        }
    }
}
