// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The kernel's score in bytes, kept where the compiler proved its arithmetic for. */
static __always_inline s64 badness_bytes(s64 points, s64 least, s64 limit)
{
	s64 pages = minimum(maximum(points, least >> page_shift), limit >> page_shift);

	return pages * (1LL << page_shift);
}
