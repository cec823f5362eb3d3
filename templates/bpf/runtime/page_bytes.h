// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Pages as bytes, at most `limit`: no value leaves the range that the arithmetic was proved for. */
static __always_inline s64 page_bytes(u64 pages, u64 limit)
{
	return pages > limit >> page_shift ? limit : pages << page_shift;
}
