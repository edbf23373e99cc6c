/* A reload in one worker: letters ask, answers come back in the round. */
#pragma once

#include <stdint.h>

#include "engine/ground/mailbox.h"
#include "engine/reload/reload_round.h"

/* Each makes a letter about an attempt; NULL: out of memory. */
typedef struct letter *reload_letter_maker(struct reload_round *round, uint32_t number);

/* Loads the app into a site of its own, and answers. number: of the attempt. */
reload_letter_maker reload_prepare_letter;
/* Declares what the generation before had declared into a site of its own, and answers. */
reload_letter_maker reload_restore_letter;
/* The prepared site serves, as this generation (number), when the events that wait were handled;
 * then answers. */
reload_letter_maker reload_commit_letter;
/* Forgets what was prepared, wholly or by half. No answer. */
reload_letter_maker reload_abandon_letter;
