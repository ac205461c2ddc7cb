/* dead.h - nobody includes it. */
