// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Read anew wherever it stands: or the compiler keeps all that a long
 * expression has read, more than the stack holds.
 */
#define fresh(place) (*(const volatile __typeof__(place) *)&(place))
