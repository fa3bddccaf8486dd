/* Limen: the decision procedure, over the tables of a graph. Included once, behind them. */

#include "limen_queue.h"
#include "limen_admit.h"
#include "limen_batch.h"
#include "limen_call.h"
#include "limen_step.h"
#include "limen_run.h"
