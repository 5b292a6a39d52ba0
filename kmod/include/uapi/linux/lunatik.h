/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * The generic netlink family "lunatik_family": Lua states inside the kernel,
 * one set of states per network namespace.
 *
 * Every operation and both multicast groups need CAP_NET_ADMIN in the user
 * namespace that owns the network namespace. Requests are validated strictly:
 * unknown attributes, unknown flag bits, attributes given twice (except CODE,
 * ARG and MESSAGE) and wrong lengths are refused. Numbers are only ever appended.
 *
 * Integers are in host byte order. Strings without "NUL-terminated" are counted
 * by their attribute's length and may hold any byte.
 *
 * How an answer ends
 *   An operation with something to tell sends its reply first, then an ACK (when
 *   NLM_F_ACK was set) or an error; one with nothing to tell (a script without
 *   results, say) sends no reply. All of it is there when sending the request
 *   returns. A reply that does not fit one message comes
 *   as several messages with NLM_F_MULTI, ended by NLMSG_DONE in place of the
 *   ACK; NLMSG_DONE then carries the error number (0 for success). The
 *   attributes of all parts together, in order, are the reply.
 *
 * How a state is named
 *   by STATE_NAME or by STATE_ID; exactly one of them.
 *
 * LUNATIK_CMD_NEWSTATE
 *   request: STATE_NAME, [MAX_ALLOC], [FLAGS: EPHEMERAL, PERCPU], [TIMEOUT],
 *            [CONTEXT]
 *   reply:   the description of the new state
 *   Makes a state and gives the sending socket a reference to it. PERCPU goes
 *   with the context SOFTIRQ: the state then has a replica for each CPU, each
 *   with MAX_ALLOC bytes. TIMEOUT is the deadline of what runs in the state's
 *   context.
 *
 * LUNATIK_CMD_CLOSE
 *   request: state, [FLAGS: FORCE]
 *   Closes a state to which no other session holds a reference; with FORCE,
 *   whoever holds one. A script that runs in it ends with ESHUTDOWN.
 *
 * LUNATIK_CMD_DOSTRING
 *   request: state, CODE..., [CHUNK_NAME], [ARG...], [TIMEOUT]
 *   reply:   RESULT..., or ERROR and [TRACEBACK] before an error
 *   Compiles the CODE attributes, joined, and runs them with the ARGs as "...";
 *   in a state of replicas in each of them. The results are those of the CPU
 *   that took the request, unless one failed: then its ERROR.
 *
 * LUNATIK_CMD_GETSTATE
 *   request: state, [FLAGS: SUBSCRIBE], [SESSION]
 *   reply:   the description
 *   Gives the sending socket one more reference. SUBSCRIBE makes the sending
 *   socket a data channel of the state: it receives what the state's script
 *   passes to lunatik.send() until it drops its last reference. SESSION is the
 *   port id of the control channel that this socket belongs to: references of
 *   both then count as one session's to CLOSE.
 *
 *   as a dump: no attributes; one description per message, every state of
 *   the namespace. Takes no references.
 *
 * LUNATIK_CMD_PUTSTATE
 *   request: state
 *   Drops one reference of the sending socket. The death of a socket drops all
 *   of its references.
 *
 * LUNATIK_CMD_SENDDATA
 *   request: state, DATA, [TIMEOUT]
 *   reply:   [DATA], or ERROR and [TRACEBACK] before an error
 *   Calls the function that the state's script gave to lunatik.receive(). The
 *   reply has DATA when the function returned a string.
 *
 *   request: state, MESSAGE..., [TIMEOUT]
 *   reply:   [ANSWER...], TAKEN
 *   Calls it for each MESSAGE in order, whether it fails for those before or
 *   not, each time with TIMEOUT anew; no other run of the state comes in between.
 *   Each ANSWER has INDEX, which MESSAGE it is for, and one of DATA, what the
 *   function returned, or ERROR, TRACEBACK and ERRNO, which make a failure
 *   together. A MESSAGE without an ANSWER succeeded with nothing to tell.
 *   TAKEN are the MESSAGEs that were run, at least one. Those after them were
 *   not, and can be sent again: none is begun when LUNATIK_BATCH_TIME has
 *   passed, when the reply has become too long for one message, or when the
 *   state is being closed. An error instead of a reply is for all: none was run,
 *   unless it says that the reply could not be sent.
 *
 *   from the kernel, to each data channel, with sequence number 0:
 *   STATE_NAME, STATE_ID, SEQUENCE, DATA
 *   SEQUENCE counts the state's lunatik.send() calls from 1; a gap tells how
 *   many messages a slow reader lost. When the state closes, each of its data
 *   channels gets LUNATIK_CMD_STATE_CLOSED_NTF with STATE_NAME and STATE_ID.
 *
 * LUNATIK_CMD_GETLOG
 *   as a dump: state, [SEQUENCE]; one line of the log per message:
 *   STATE_NAME, STATE_ID, SEQUENCE, TIME, TEXT, [LOST]
 *   Lines count from 1. SEQUENCE in the request is the first line wanted
 *   (default: the oldest kept); when that one is gone already, LOST in the
 *   first message tells how many lines are missing. Reading removes nothing.
 *
 * LUNATIK_CMD_GETINFO
 *   request: nothing
 *   reply:   VERSION, LUA_VERSION, STATES, ALLOC, MAX_STATES, MAX_TOTAL_ALLOC,
 *            MAX_ALLOC, TIMEOUT, MAX_TIMEOUT, SOFTIRQ_TIMEOUT,
 *            MAX_SOFTIRQ_TIMEOUT
 *   What this namespace uses, its quotas, and the ceilings for one state.
 *
 * Notifications (sequence number 0)
 *   group "events": LUNATIK_CMD_STATE_CREATED_NTF and
 *   LUNATIK_CMD_STATE_CLOSED_NTF with STATE_NAME, STATE_ID;
 *   LUNATIK_CMD_STATE_FAILED_NTF, when a run ended in an error, with STATE_NAME,
 *   STATE_ID, ERRNO, and ERROR unless it is longer than a message holds.
 *   group "log": LUNATIK_CMD_LOG_NTF with the attributes of one GETLOG line.
 *
 * The description of a state
 *   STATE_NAME, STATE_ID, MAX_ALLOC, CURR_ALLOC, PEAK_ALLOC, CONTEXT, FLAGS,
 *   TIMEOUT, REFERENCES, SUBSCRIBERS, RUNS, ERRORS, DEADLINE_KILLS, RUN_TIME,
 *   CREATED, REPLICAS, TIMERS, [HOOK...]
 *   In a state of replicas the figures are the sums of theirs.
 *
 *   HOOK is a nest: HOOK_KIND, with NETFILTER also FAMILY, HOOK_NUMBER,
 *   PRIORITY and, where hooks are of a device, DEV; ON_ERROR, CALLS, ERRORS,
 *   DEADLINE_KILLS, MISSED, RUN_TIME, [VERDICT...]. VERDICT is a nest: VALUE,
 *   COUNT.
 *
 * Values: RESULT and ARG
 *   Each RESULT or ARG attribute is a nest with exactly one attribute of enum
 *   lunatik_value. A table is a sequence: a RESULT with TABLE opens it, then
 *   keys and values follow in turn, each a value of its own and maybe a table
 *   again, and a RESULT with END closes it. Tables nest to a depth of
 *   LUNATIK_TABLE_DEPTH.
 *
 * Errors
 *   EPERM      no CAP_NET_ADMIN over the namespace, or its user namespace is
 *              not allowed
 *   EEXIST     the name is taken
 *   ENOENT     no such state
 *   EINVAL     malformed request
 *   ERANGE     MAX_ALLOC or TIMEOUT outside the limits
 *   EDQUOT     the namespace's quota of states or bytes is used up, or the
 *              state's of subscribers
 *   EBUSY      CLOSE while another session holds a reference
 *   ENOEXEC    the chunk does not compile
 *   ENOMEM     the state's MAX_ALLOC or the kernel's memory is used up
 *   ETIME      the deadline passed
 *   EINTR      the caller was killed while the script ran
 *   EMSGSIZE   too large: the extended ACK names what and the limit
 *   EREMOTEIO  the script raised an error
 *   ENOTCONN   SENDDATA to a state that has no receiver
 *   ESHUTDOWN  the state is being closed
 */
#ifndef _UAPI_LINUX_LUNATIK_H
#define _UAPI_LINUX_LUNATIK_H

#define LUNATIK_GENL_NAME		"lunatik_family"
#define LUNATIK_GENL_VERSION		1
#define LUNATIK_MCGRP_EVENTS		"events"
#define LUNATIK_MCGRP_LOG		"log"

/* Limits in bytes; names are printable ASCII without '/'. */
#define LUNATIK_STATE_NAME_MAX		63	/* without the NUL */
#define LUNATIK_CHUNK_NAME_MAX		255	/* without the NUL */
#define LUNATIK_CODE_MAX		262144	/* all CODE attributes together */
#define LUNATIK_DATA_MAX		61440	/* DATA, either way, and one MESSAGE */
#define LUNATIK_STRING_MAX		61440	/* one string of an ARG or a RESULT */
#define LUNATIK_REPLY_MAX		1048576	/* one reply in all */
#define LUNATIK_MESSAGE_MAX		65556	/* one datagram from the kernel, headers included */
#define LUNATIK_LOG_LINE_MAX		4096	/* one line of a state's log */
#define LUNATIK_MAX_ALLOC_MIN		32768	/* least MAX_ALLOC */
#define LUNATIK_TABLE_DEPTH		8	/* tables within tables */
#define LUNATIK_SUBSCRIBERS_MAX		1024	/* data channels of one state */
#define LUNATIK_HOOKS_MAX		64	/* hooks of one state */
#define LUNATIK_TIMERS_MAX		1024	/* timers of one replica that have yet to fire */

/* Microseconds after which a request begins no further MESSAGE. */
#define LUNATIK_BATCH_TIME		100000

enum lunatik_cmd {
	LUNATIK_CMD_UNSPEC,
	LUNATIK_CMD_NEWSTATE,
	LUNATIK_CMD_CLOSE,
	LUNATIK_CMD_DOSTRING,
	LUNATIK_CMD_GETSTATE,
	LUNATIK_CMD_PUTSTATE,
	LUNATIK_CMD_SENDDATA,
	LUNATIK_CMD_GETLOG,
	LUNATIK_CMD_GETINFO,
	LUNATIK_CMD_STATE_CREATED_NTF,
	LUNATIK_CMD_STATE_CLOSED_NTF,
	LUNATIK_CMD_STATE_FAILED_NTF,
	LUNATIK_CMD_LOG_NTF,

	__LUNATIK_CMD_MAX
};
#define LUNATIK_CMD_MAX (__LUNATIK_CMD_MAX - 1)

enum lunatik_attr {
	LUNATIK_A_UNSPEC,
	LUNATIK_A_STATE_NAME,		/* NUL-terminated, 1 to 63 bytes */
	LUNATIK_A_MAX_ALLOC,		/* u32, bytes */
	LUNATIK_A_STATE_ID,		/* u32, from 1, unique in the namespace */
	LUNATIK_A_FLAGS,		/* u32, enum lunatik_flag */
	LUNATIK_A_TIMEOUT,		/* u32, microseconds of wall-clock time */
	LUNATIK_A_CODE,			/* string, may be repeated */
	LUNATIK_A_CHUNK_NAME,		/* NUL-terminated, 1 to 255 bytes, as lua_load() takes it */
	LUNATIK_A_ARG,			/* nest, enum lunatik_value, may be repeated */
	LUNATIK_A_RESULT,		/* nest, enum lunatik_value, may be repeated */
	LUNATIK_A_ERROR,		/* string, the Lua error's text */
	LUNATIK_A_TRACEBACK,		/* string */
	LUNATIK_A_DATA,			/* string, to 60 KiB */
	LUNATIK_A_MESSAGE,		/* string, to 60 KiB, may be repeated */
	LUNATIK_A_SESSION,		/* u32, port id of the session's control channel */
	LUNATIK_A_SEQUENCE,		/* u64 */
	LUNATIK_A_CURR_ALLOC,		/* u32, bytes in use */
	LUNATIK_A_PEAK_ALLOC,		/* u32, most bytes that were ever in use */
	LUNATIK_A_CONTEXT,		/* u32, enum lunatik_context */
	LUNATIK_A_REFERENCES,		/* u32 */
	LUNATIK_A_SUBSCRIBERS,		/* u32 */
	LUNATIK_A_RUNS,			/* u64 */
	LUNATIK_A_ERRORS,		/* u64, runs that ended in an error */
	LUNATIK_A_DEADLINE_KILLS,	/* u64, those of them that ended in ETIME */
	LUNATIK_A_RUN_TIME,		/* u64, nanoseconds of wall-clock time in all runs */
	LUNATIK_A_CREATED,		/* u64, nanoseconds since the epoch */
	LUNATIK_A_TIME,			/* u64, nanoseconds since the epoch */
	LUNATIK_A_TEXT,			/* string, a line of the log */
	LUNATIK_A_LOST,			/* u64, lines */
	LUNATIK_A_ERRNO,		/* u32, positive */
	LUNATIK_A_VERSION,		/* NUL-terminated, the module's version */
	LUNATIK_A_LUA_VERSION,		/* NUL-terminated, such as "Lua 5.5.1" */
	LUNATIK_A_STATES,		/* u32, states in this namespace */
	LUNATIK_A_ALLOC,		/* u64, bytes that this namespace's states are charged */
	LUNATIK_A_MAX_STATES,		/* u32, quota of states */
	LUNATIK_A_MAX_TOTAL_ALLOC,	/* u64, quota of bytes */
	LUNATIK_A_MAX_TIMEOUT,		/* u32, microseconds */
	LUNATIK_A_ANSWER,		/* nest: INDEX and one more; may be repeated */
	LUNATIK_A_INDEX,		/* u32, which MESSAGE, from 0 */
	LUNATIK_A_TAKEN,		/* u32, MESSAGEs that have been run */
	LUNATIK_A_SOFTIRQ_TIMEOUT,	/* u32, microseconds */
	LUNATIK_A_MAX_SOFTIRQ_TIMEOUT,	/* u32, microseconds */
	LUNATIK_A_REPLICAS,		/* u32 */
	LUNATIK_A_TIMERS,		/* u32, that have yet to fire */
	LUNATIK_A_HOOK,			/* nest, may be repeated */
	LUNATIK_A_HOOK_KIND,		/* u32, enum lunatik_hook_kind */
	LUNATIK_A_FAMILY,		/* u32, enum { NFPROTO_... } of linux/netfilter.h */
	LUNATIK_A_HOOK_NUMBER,		/* u32, the family's, such as NF_INET_LOCAL_IN */
	LUNATIK_A_PRIORITY,		/* s32, least first */
	LUNATIK_A_ON_ERROR,		/* u32, enum lunatik_on_error */
	LUNATIK_A_CALLS,		/* u64, packets that the hook's function was called for */
	LUNATIK_A_MISSED,		/* u64, packets that it could not be called for */
	LUNATIK_A_VERDICT,		/* nest: VALUE, COUNT; may be repeated */
	LUNATIK_A_VALUE,		/* u32, a verdict as the kernel numbers it: NF_, XDP_ or TC_ACT_ */
	LUNATIK_A_COUNT,		/* u64, packets that got it from the function */
	LUNATIK_A_DEV,		/* NUL-terminated, what the device is called now, to 15 bytes */

	__LUNATIK_A_MAX
};
#define LUNATIK_A_MAX (__LUNATIK_A_MAX - 1)

enum lunatik_value {
	LUNATIK_V_UNSPEC,
	LUNATIK_V_NIL,			/* flag */
	LUNATIK_V_BOOLEAN,		/* u8, 0 or 1 */
	LUNATIK_V_INTEGER,		/* s64 */
	LUNATIK_V_STRING,		/* string, to 60 KiB */
	LUNATIK_V_TABLE,		/* flag: a table begins */
	LUNATIK_V_END,			/* flag: the table ends */
	LUNATIK_V_TEXT,			/* string: tostring() of a value that cannot cross; RESULT only */

	__LUNATIK_V_MAX
};
#define LUNATIK_V_MAX (__LUNATIK_V_MAX - 1)

enum lunatik_flag {
	LUNATIK_F_EPHEMERAL	= 1 << 0,	/* NEWSTATE: close with the last reference */
	LUNATIK_F_FORCE		= 1 << 1,	/* CLOSE: whoever holds references */
	LUNATIK_F_SUBSCRIBE	= 1 << 2,	/* GETSTATE: this socket is a data channel */
	LUNATIK_F_PERCPU	= 1 << 3,	/* NEWSTATE: a replica for each CPU */
};

enum lunatik_context {
	LUNATIK_CONTEXT_PROCESS,		/* may sleep */
	LUNATIK_CONTEXT_SOFTIRQ,		/* may be bound to packets */
};

enum lunatik_hook_kind {
	LUNATIK_HOOK_NETFILTER,
	LUNATIK_HOOK_XDP,
	LUNATIK_HOOK_TC,
};

/* What becomes of a packet whose function failed, or could not be called. */
enum lunatik_on_error {
	LUNATIK_ON_ERROR_NATIVE,		/* as if there were no hook */
	LUNATIK_ON_ERROR_DROP,
};

#endif /* _UAPI_LINUX_LUNATIK_H */
