// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Patterns with a part that can stand anywhere, as automata. State n: the first
 * n characters of the pattern have been seen. `next`: the states that a byte
 * leads to; `star`: those that have a star behind them and stay.
 */
__noinline int glob_matches(u64 row)
{
	u64 states = 1;
	u64 i, byte;

	if (row >= sizeof(globs) / sizeof(globs[0]))
		return false;
	for (i = 0; i < sizeof(subject.word) && i < subject.length; i++) {
		byte = ((u8 *)subject.word)[i];
		states = (states << 1 & globs[row].next[byte]) | (states & globs[row].star);
	}
	return !!(states & globs[row].end);
}
