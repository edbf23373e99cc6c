/* Reloads and rollbacks that are asked for over the control socket. */
#pragma once

#include "engine/control/control_session.h"

/* Each is the request of this session. */
void control_reload(struct control_session *session);
/* Is answered when the probation of the new code is over. */
void control_reload_and_wait(struct control_session *session);
void control_rollback(struct control_session *session);

/* The probation that the session waits for is over. */
void control_reload_kept(struct control_session *session);
/* Answers everybody who asked for the attempt that has ended. A rollback also ends the reload that
 * it dropped: who asked for that hears that it failed. */
void control_reload_ended(struct reload_observer *o, const struct reload_end *end);
