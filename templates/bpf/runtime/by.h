// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Compare the candidate's number for one rule with the kept one and put it in
 * its place; -1: the candidate is behind. While the two are level both are the
 * same, so that nothing is lost when the candidate falls behind later; once it
 * is ahead, all its other numbers only have to be kept.
 */
static __always_inline int by(s64 *kept, s64 number, int ahead)
{
	if (!ahead) {
		if (number < *kept)
			return -1;
		ahead = number > *kept;
	}
	*kept = number;
	return ahead;
}
