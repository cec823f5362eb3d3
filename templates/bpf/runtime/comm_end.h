// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A comm moved to the end of its 16 bytes, for what it has to end with. */
static __always_inline struct comm comm_end(struct comm comm, u64 length)
{
	u64 bits = ((16 - length) & 7) * 8;

	if (length <= 8) {
		comm.high = comm.low;
		comm.low = 0;
	}
	if (bits) {
		comm.high = comm.high << bits | comm.low >> (64 - bits);
		comm.low <<= bits;
	}
	return comm;
}
