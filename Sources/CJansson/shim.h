#pragma once
#include <jansson.h>

// json_decref is a static inline with a refcount dance that Swift imports; the iteration macros are not importable.
