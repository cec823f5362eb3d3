// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
static __always_inline s64 clamp(s64 v, s64 low, s64 high)
{
	return minimum(maximum(v, low), high);
}
