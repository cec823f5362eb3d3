// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Whole steps in v, rounded down. */
static s64 floor_steps(s64 v, u64 step)
{
	return v >= 0 ? (s64)((u64)v / step) : -(s64)((-(u64)v + step - 1) / step);
}
