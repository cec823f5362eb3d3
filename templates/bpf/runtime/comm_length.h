// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The length of a comm: its bytes that are not zero. */
static __always_inline u64 comm_length(struct comm comm)
{
	u64 low = before_nul(comm.low) & EVERY_BYTE, high = before_nul(comm.high) & EVERY_BYTE;

	return (low * EVERY_BYTE >> 56) + (high * EVERY_BYTE >> 56);
}
