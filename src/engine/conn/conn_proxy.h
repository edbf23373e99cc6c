/* The role of a connection that a proxy has opened and whose PROXY header has not come yet: it says
 * who the peer is, before TLS and HTTP begin. */
#pragma once

#include "engine/conn/conn_role.h"

extern const struct conn_role conn_proxy_role;
