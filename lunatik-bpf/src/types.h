/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* As much as is used of linux/bpf.h, which the machine may not have. */
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef long long __s64;

/* Only their names count, as the types of arguments. */
struct xdp_md {
	__u32 data;
};

struct __sk_buff {
	__u32 len;
};
