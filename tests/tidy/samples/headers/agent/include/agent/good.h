/* good.h - says what it is. */
