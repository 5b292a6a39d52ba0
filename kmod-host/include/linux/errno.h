/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_ERRNO_H
#define HOST_LINUX_ERRNO_H

#define EPERM		1
#define ENOENT		2
#define EINTR		4
#define ENOEXEC		8
#define ENOMEM		12
#define EBUSY		16
#define EEXIST		17
#define EINVAL		22
#define ERANGE		34
#define ETIME		62
#define EPROTO		71
#define EMSGSIZE	90
#define ENOBUFS		105
#define ESHUTDOWN	108
#define EREMOTEIO	121
#define EDQUOT		122

#endif
