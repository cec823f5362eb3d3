// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Time since a process started, in ms. */
static __always_inline s64 age(u64 start, s64 limit)
{
	return event.now > start ? minimum((event.now - start) / 1000000, limit) : 0;
}
