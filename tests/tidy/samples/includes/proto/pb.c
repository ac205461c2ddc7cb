#include <jansson.h>
#include <nghttp2/nghttp2.h>
