/* SPDX-License-Identifier: GPL-2.0-only */
/* States without the part of the module that needs the kernel, and runs in them. */
#ifndef HOST_MODULE_H
#define HOST_MODULE_H

#include <net/genetlink.h>

#include "netns.h"
#include "state.h"

extern struct lunatik_net host_lnet;
extern u64 host_max_total_alloc;

/* NULL without memory. Its deadline is a second that never passes by itself. */
struct lunatik_state *host_state_new(u32 max_alloc);
void host_state_free(struct lunatik_state *state);

/* A request: the header and then attributes, in a block of exactly its length. */
struct host_request {
	u8 *data;
	size_t len, size;
};

void host_request_init(struct host_request *request);
void host_request_free(struct host_request *request);
/* An attribute; the payload's place. */
void *host_request_put(struct host_request *request, int type, const void *data, size_t len);
/* An ARG with one value in it. */
void host_request_arg(struct host_request *request, int type, const void *data, size_t len);
/* The whole message. Valid until the next call. */
const struct nlmsghdr *host_request_message(struct host_request *request);

/* What came back of a request. */
struct host_answer {
	int err;
	struct netlink_ext_ack extack;
	struct sk_buff_head messages;
	u8 *attrs;		/* of all messages, joined */
	size_t len;
};

/*
 * DOSTRING. Without a request there are no arguments. -EPROTO: generic netlink
 * would not have passed it on.
 */
void host_dostring(struct lunatik_state *state, const char *code, size_t len,
		   struct host_request *args, struct host_answer *answer);
void host_answer_free(struct host_answer *answer);
/* The payload of the first such attribute, or NULL. */
const char *host_answer_find(const struct host_answer *answer, int type, size_t *len);

/* Runs code and takes only its error, 0 or negative; prints what the error says if loud. */
int host_run(struct lunatik_state *state, const char *code, bool loud);

#endif
