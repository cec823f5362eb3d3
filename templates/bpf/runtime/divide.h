// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* a / b truncated towards zero, 0 where b is 0. BPF divides unsigned numbers only. */
static s64 divide(s64 a, s64 b)
{
	u64 n = a < 0 ? -(u64)a : a, d = b < 0 ? -(u64)b : b;
	u64 q = d ? n / d : 0;

	return (a < 0) == (b < 0) ? (s64)q : -(s64)q;
}
