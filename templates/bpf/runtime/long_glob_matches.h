// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The same for patterns of 64 to 255 characters. */
__noinline int long_glob_matches(u64 row)
{
	u64 a = 1, b = 0, c = 0, d = 0;
	u64 i, byte;

	if (row >= sizeof(long_globs) / sizeof(long_globs[0]))
		return false;
	for (i = 0; i < sizeof(subject.word) && i < subject.length; i++) {
		byte = ((u8 *)subject.word)[i];
		d = ((d << 1 | c >> 63) & long_globs[row].next[byte][3]) |
		    (d & long_globs[row].star[3]);
		c = ((c << 1 | b >> 63) & long_globs[row].next[byte][2]) |
		    (c & long_globs[row].star[2]);
		b = ((b << 1 | a >> 63) & long_globs[row].next[byte][1]) |
		    (b & long_globs[row].star[1]);
		a = (a << 1 & long_globs[row].next[byte][0]) | (a & long_globs[row].star[0]);
	}
	return !!((a & long_globs[row].end[0]) | (b & long_globs[row].end[1]) |
		  (c & long_globs[row].end[2]) | (d & long_globs[row].end[3]));
}
