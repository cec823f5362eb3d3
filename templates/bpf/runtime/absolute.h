// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
static __always_inline s64 absolute(s64 v)
{
	return v < 0 ? -v : v;
}
