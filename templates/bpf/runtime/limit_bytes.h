// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A limit in bytes; PAGE_COUNTER_MAX, which stands for none, reads as the event's total. */
static __always_inline s64 limit_bytes(u64 pages, u64 limit)
{
	return pages >= (u64)__LONG_MAX__ >> page_shift ? event.total : page_bytes(pages, limit);
}
