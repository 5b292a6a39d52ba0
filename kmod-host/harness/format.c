// SPDX-License-Identifier: GPL-2.0-only
/*
 * snprintf() for the module's parts, as the kernel has it (lib/vsprintf.c of
 * Linux 6.12), not libc: a precision without digits is none, zeros fill up to
 * the width in spite of a precision, a zero has its digit and its 0x. Knows
 * the conversions that Lua makes.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <linux/kernel.h>

#include "kernel.h"
#include "test.h"

struct out {
	char *buf;
	size_t size, len;
};

struct spec {
	bool left, plus, space, special, zero;
	int width, precision;
	int longs;
};

static void put(struct out *out, char c)
{
	if (out->len < out->size)
		out->buf[out->len] = c;
	out->len++;
}

static void pad(struct out *out, char c, int count)
{
	while (count-- > 0)
		put(out, c);
}

static const char *parse(const char *fmt, struct spec *spec)
{
	*spec = (struct spec){ .width = -1, .precision = -1 };
	for (;; fmt++) {
		switch (*fmt) {
		case '-': spec->left = true; continue;
		case '+': spec->plus = true; continue;
		case ' ': spec->space = true; continue;
		case '#': spec->special = true; continue;
		case '0': spec->zero = true; continue;
		}
		break;
	}
	if (isdigit((u8)*fmt))
		spec->width = strtol(fmt, (char **)&fmt, 10);
	if (*fmt == '.' && isdigit((u8)*++fmt))
		spec->precision = strtol(fmt, (char **)&fmt, 10);
	for (; *fmt == 'l'; fmt++)
		spec->longs++;
	return fmt;
}

static void put_number(struct out *out, u64 number, bool is_signed, unsigned int base,
		       const char *digits, const struct spec *spec)
{
	char reversed[24], sign = 0;
	const char *prefix = "";
	int count = 0, precision, width = spec->width;

	if (is_signed) {
		if ((s64)number < 0) {
			sign = '-';
			number = 0 - number;
		} else if (spec->plus) {
			sign = '+';
		} else if (spec->space) {
			sign = ' ';
		}
	}
	if (spec->special && base == 16)
		prefix = digits[15] == 'F' ? "0X" : "0x";
	else if (spec->special && base == 8 && number)
		prefix = "0";
	do
		reversed[count++] = digits[number % base];
	while (number /= base);
	precision = max(count, spec->precision);
	width -= precision + !!sign + (int)strlen(prefix);
	if (!spec->zero && !spec->left)
		pad(out, ' ', width);
	if (sign)
		put(out, sign);
	while (*prefix)
		put(out, *prefix++);
	if (spec->zero && !spec->left)
		pad(out, '0', width);
	pad(out, '0', precision - count);
	while (count)
		put(out, reversed[--count]);
	if (spec->left)
		pad(out, ' ', width);
}

static void put_text(struct out *out, const char *text, size_t len, const struct spec *spec)
{
	int width = spec->width - (int)len;

	if (!spec->left)
		pad(out, ' ', width);
	while (len--)
		put(out, *text++);
	if (spec->left)
		pad(out, ' ', width);
}

static u64 integer(va_list *args, const struct spec *spec, bool is_signed)
{
	if (spec->longs)
		return va_arg(*args, u64);
	return is_signed ? (u64)va_arg(*args, int) : va_arg(*args, unsigned int);
}

int __wrap_snprintf(char *buf, size_t size, const char *fmt, ...);
int __wrap_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
	struct out out = { buf, size, 0 };
	struct spec spec;
	const char *text;
	va_list args;
	char c;

	va_start(args, fmt);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(&out, *fmt);
			continue;
		}
		fmt = parse(fmt + 1, &spec);
		switch (*fmt) {
		case 'd':
		case 'i':
			put_number(&out, integer(&args, &spec, true), true, 10, lower, &spec);
			break;
		case 'u':
			put_number(&out, integer(&args, &spec, false), false, 10, lower, &spec);
			break;
		case 'o':
			put_number(&out, integer(&args, &spec, false), false, 8, lower, &spec);
			break;
		case 'x':
			put_number(&out, integer(&args, &spec, false), false, 16, lower, &spec);
			break;
		case 'X':
			put_number(&out, integer(&args, &spec, false), false, 16, upper, &spec);
			break;
		case 'c':
			c = va_arg(args, int);
			put_text(&out, &c, 1, &spec);
			break;
		case 's':
			text = va_arg(args, const char *);
			put_text(&out, text, spec.precision < 0 ? strlen(text) :
				 strnlen(text, spec.precision), &spec);
			break;
		case 'p':
			/* Hashed: 32 bits that tell nothing, but always the same of the same. */
			if (spec.width < 0) {
				spec.width = 16;
				spec.zero = true;
			}
			put_number(&out, (u32)((u64)va_arg(args, void *) * 0x9e3779b97f4a7c15 >> 32),
				   false, 16, lower, &spec);
			break;
		default:
			/* The kernel warns. */
			FAIL("a format with %%%c", *fmt);
		}
	}
	va_end(args);
	if (size)
		buf[min(out.len, size - 1)] = 0;
	return out.len;
}
