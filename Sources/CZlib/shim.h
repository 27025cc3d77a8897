#pragma once
#include <zlib.h>

/* zlib's initialisers are macros. 16 more than the window's bits stand for gzip's format. */
static inline int czlib_deflate_init(z_stream *stream) {
  return deflateInit2(stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
}
static inline int czlib_inflate_init(z_stream *stream) { return inflateInit2(stream, MAX_WBITS + 16); }
