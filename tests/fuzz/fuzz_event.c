/* Anything at all as an event in JSON: it is refused with a sentence, or it is an event that goes out as JSON and
 * comes in again the same. */
#include "auth/journal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dw_event event, again;
    struct dw_event_store *store = NULL, *store_again = NULL;
    struct dw_error err = {0};
    json_t *json = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
    if (!json)
        return 0;
    if (dw_event_from_json(&event, json, &store, &err) < 0) {
        must(err.detail[0] && !store);
    } else {
        json_t *out = dw_event_to_json(&event);
        must(out && dw_event_from_json(&again, out, &store_again, &err) == 0);
        json_t *out_again = dw_event_to_json(&again);
        must(json_equal(out, out_again) || event.time > 4000000000000000); /* a double holds no more microseconds */
        json_decref(out);
        json_decref(out_again);
    }
    dw_event_store_free(&store);
    dw_event_store_free(&store_again);
    json_decref(json);
    return 0;
}
