/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own functions, without the kernel's headers. */
#ifndef LUNATIK_STRING_H
#define LUNATIK_STRING_H

#include <stddef.h>

void *memcpy(void *dest, const void *src, size_t n);
void *memset(void *s, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strcpy(char *dest, const char *src);
char *strchr(const char *s, int c);
char *strpbrk(const char *s, const char *accept);
size_t strspn(const char *s, const char *accept);
char *strstr(const char *s, const char *find);
#ifndef memchr
void *memchr(const void *s, int c, size_t n);
#endif

#define strcoll		strcmp

#endif
