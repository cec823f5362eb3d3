// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#define RATIO_LIMIT 1000000000000ULL /* a hundred million, in 1/10000 */

/* a / b in 1/10000, truncated towards zero, 0 where b is 0, at most RATIO_LIMIT. */
static s64 ratio(s64 a, s64 b)
{
	u64 n = a < 0 ? -(u64)a : a, d = b < 0 ? -(u64)b : b;
	u64 q, rest, hundredths;

	if (!d)
		return 0;
	q = n / d;
	if (q >= RATIO_LIMIT / 10000) {
		q = RATIO_LIMIT;
	} else {
		/* Two digits at a time: d is below 2^57, so nothing overflows. */
		rest = n % d * 100;
		hundredths = rest / d;
		q = q * 10000 + hundredths * 100 + rest % d * 100 / d;
	}
	return (a < 0) == (b < 0) ? (s64)q : -(s64)q;
}
