static const char *path = "/home/me/agent"; /* see TODO */
