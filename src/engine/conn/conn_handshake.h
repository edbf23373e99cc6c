/* The role of a connection whose peer has begun a TLS handshake. */
#pragma once

#include "engine/conn/conn_role.h"

extern const struct conn_role conn_handshake_role;
