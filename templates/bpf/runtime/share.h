// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* a * r / 10000 truncated towards zero, without overflow on the way. */
static s64 share(s64 a, s64 r)
{
	u64 n = a < 0 ? -(u64)a : a, p = r < 0 ? -(u64)r : r;
	u64 q = n / 10000 * p + n % 10000 * p / 10000;

	return (a < 0) == (r < 0) ? (s64)q : -(s64)q;
}
