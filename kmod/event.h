/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Notifications to the groups "events" and "log" of a state's namespace. They
 * cost a test when nobody listens; one that cannot be sent is lost, which the
 * listener's socket reports. Those of a replica are its run's, and sleep only where that
 * may; the others may.
 */
#ifndef LUNATIK_EVENT_H
#define LUNATIK_EVENT_H

#include <linux/types.h>

struct lunatik_log_line;
struct lunatik_replica;
struct lunatik_state;

void lunatik_event_created(const struct lunatik_state *state);
/* Tells the state's subscribers, too. */
void lunatik_event_closed(struct lunatik_state *state);
void lunatik_event_failed(struct lunatik_replica *replica, int error, const char *message,
			  size_t len);
void lunatik_event_log(struct lunatik_replica *replica, const struct lunatik_log_line *line);

#endif
