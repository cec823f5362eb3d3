// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
static __always_inline s64 maximum(s64 a, s64 b)
{
	return a > b ? a : b;
}
