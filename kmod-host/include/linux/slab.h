/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_SLAB_H
#define HOST_LINUX_SLAB_H

#include <linux/gfp.h>

#define KMALLOC_MAX_CACHE_SIZE	8192

/* Exactly as large as asked for; fails when the test says so. */
void *host_alloc(size_t size);
void *host_zalloc(size_t size);
void host_free(const void *ptr);

#define kmalloc(size, gfp)	((void)(gfp), host_alloc(size))
#define kvmalloc(size, gfp)	((void)(gfp), host_alloc(size))
#define kvmalloc_array(n, size, gfp)	((void)(gfp), host_alloc((n) * (size)))
#define kzalloc(size, gfp)	((void)(gfp), host_zalloc(size))
#define kvzalloc(size, gfp)	((void)(gfp), host_zalloc(size))
#define kfree(ptr)		host_free(ptr)
#define kvfree(ptr)		host_free(ptr)

#endif
