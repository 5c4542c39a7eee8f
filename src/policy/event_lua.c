/* The door through which a policy sees the event: read-only, each field made when it is asked for.
 *
 * The event is borrowed for one question.  When that is over the box's pointer is cleared, and whoever
 * kept a proxy gets an error from it. */
#include "auth/fields.h"
#include "policy/doors.h"
#include "policy/inside.h"
#include "policy/secret.h"

#include <lauxlib.h>
#include <openssl/crypto.h>

enum { SLOTS = 8 }; /* user values of an event: its principal and its groups, once made */

static const char event_key, group_key, secret_key;

/* A group such as event.peer, or a secret; the event's proxy is its user value. */
struct part {
    const struct dw_event_box *box;
    const struct dw_field *field;
};

static const struct dw_event *live(lua_State *L, const struct dw_event_box *box)
{
    if (!box->event)
        luaL_error(L, "this event is over: it may not be kept past the call that it was given to");
    return box->event;
}

static int slot_of(const struct dw_field *field)
{
    int slot = 1;
    for (const struct dw_field *f = dw_event_fields; f != field; f++)
        slot += f->kind == DW_FIELD_GROUP || f->kind == DW_FIELD_PRINCIPAL;
    return slot;
}

static void push_span(lua_State *L, struct dw_span span)
{
    if (span.at)
        lua_pushlstring(L, (const char *)span.at, span.len);
    else
        lua_pushnil(L);
}

static void push_part(lua_State *L, int event, const struct dw_event_box *box, const struct dw_field *field,
                      const char *metatable)
{
    struct part *part = lua_newuserdatauv(L, sizeof *part, 1);
    *part = (struct part){box, field};
    lua_pushvalue(L, event);
    lua_setiuservalue(L, -2, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, metatable);
    lua_setmetatable(L, -2);
}

/* Principal and groups are made once for an event. */
static void push_kept(lua_State *L, int event, const struct dw_event_box *box, const struct dw_field *field)
{
    struct dw_error err;
    int slot = slot_of(field);
    if (lua_getiuservalue(L, event, slot) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    if (field->kind == DW_FIELD_GROUP)
        push_part(L, event, box, field, &group_key);
    else if (dw_lua_parse_principal(L, box->event->principal, DW_SPAN_NONE, &err) < 0)
        luaL_error(L, "event.principal: %s", err.detail);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, event, slot);
}

static void push_list(lua_State *L, const struct dw_span *list, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        push_span(L, list[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_attributes(lua_State *L, const struct dw_event_gss *gss)
{
    lua_newtable(L);
    for (size_t i = 0; i < gss->attribute_count; i++) {
        push_span(L, gss->attributes[i].name);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TNIL) {
            lua_pop(L, 1);
            lua_newtable(L);
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, -5);
        }
        push_span(L, gss->attributes[i].value);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        lua_pop(L, 2);
    }
}

static void push_key(lua_State *L, const struct dw_span *key)
{
    char text[41];
    dw_z85_encode(text, key->at);
    lua_pushstring(L, text);
}

/* `event` is the stack index of the event's proxy. */
static int push_field(lua_State *L, int event, const struct dw_event_box *box, const struct dw_field *field)
{
    const void *at = dw_field_at(box->event, field);
    /* A policy may look at event.peer.address of any event, so the group is always there. */
    bool always = field->kind == DW_FIELD_GROUP && strcmp(field->name, "peer") == 0;
    if (!always && !dw_field_present(box->event, field)) {
        lua_pushnil(L);
        return 1;
    }
    switch (field->kind) {
    case DW_FIELD_TEXT: lua_pushstring(L, *(const char *const *)at); break;
    case DW_FIELD_OCTETS:
    case DW_FIELD_RAW: push_span(L, *(const struct dw_span *)at); break;
    case DW_FIELD_SECRET: push_part(L, event, box, field, &secret_key); break;
    case DW_FIELD_KEY: push_key(L, at); break;
    case DW_FIELD_TIME: lua_pushnumber(L, (double)*(const long long *)at / 1e6); break;
    case DW_FIELD_FRONT: lua_pushstring(L, dw_front_word(*(const enum dw_front *)at)); break;
    case DW_FIELD_STAGE: lua_pushstring(L, dw_stage_word(*(const enum dw_stage *)at)); break;
    case DW_FIELD_PORT: lua_pushinteger(L, *(const int *)at); break;
    case DW_FIELD_ID: lua_pushinteger(L, *(const long *)at); break;
    case DW_FIELD_LIFETIME: lua_pushinteger(L, *(const uint32_t *)at); break;
    case DW_FIELD_MOMENT:
    case DW_FIELD_SECONDS: lua_pushnumber(L, *(const double *)at); break;
    case DW_FIELD_FLAG: lua_pushboolean(L, *(const bool *)at); break;
    case DW_FIELD_COUNT: lua_pushinteger(L, (lua_Integer) * (const uint64_t *)at); break;
    case DW_FIELD_INDICATORS: push_list(L, box->event->gss.indicators, box->event->gss.indicator_count); break;
    case DW_FIELD_FRAMES: push_list(L, box->event->credentials, box->event->credential_count); break;
    case DW_FIELD_ATTRIBUTES: push_attributes(L, &box->event->gss); break;
    case DW_FIELD_PRINCIPAL:
    case DW_FIELD_GROUP: push_kept(L, event, box, field); break;
    }
    return 1;
}

static int unknown_field(lua_State *L, const char *group, const struct dw_field *fields)
{
    const char *key = luaL_tolstring(L, 2, NULL), *dot = *group ? "." : "";
    const char *nearest = dw_field_nearest(fields, key);
    return nearest ? luaL_error(L, "unknown event field '%s%s%s', did you mean '%s%s%s'?", group, dot, key, group,
                                dot, nearest)
                   : luaL_error(L, "unknown event field '%s%s%s'", group, dot, key);
}

/* Upvalue 1 maps a name to its place in dw_event_fields. */
static int event_index(lua_State *L)
{
    const struct dw_event_box *box = lua_touserdata(L, 1);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNUMBER)
        return unknown_field(L, "", dw_event_fields);
    live(L, box);
    return push_field(L, 1, box, &dw_event_fields[lua_tointeger(L, -1)]);
}

static int group_index(lua_State *L)
{
    const struct part *part = lua_touserdata(L, 1);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    const struct dw_field *field = dw_field_find(part->field->fields, key);
    if (!field)
        return unknown_field(L, part->field->name, part->field->fields);
    live(L, part->box);
    lua_getiuservalue(L, 1, 1);
    return push_field(L, lua_gettop(L), part->box, field);
}

static int read_only(lua_State *L)
{
    return luaL_error(L, "event field '%s' cannot be set: events are read-only", luaL_tolstring(L, 2, NULL));
}

static int event_tostring(lua_State *L)
{
    const struct dw_event_box *box = lua_touserdata(L, 1);
    const struct dw_event *e = box->event;
    lua_pushfstring(L, "event %s", !e ? "(over)" : e->id ? e->id : "without id");
    return 1;
}

static int group_tostring(lua_State *L)
{
    const struct part *part = lua_touserdata(L, 1);
    lua_pushfstring(L, "event.%s", part->field->name);
    return 1;
}

static int secret_tostring(lua_State *L)
{
    lua_pushliteral(L, "<secret>");
    return 1;
}

/* password:equals(text), in a time that does not tell how much of it was right. */
static int secret_equals(lua_State *L)
{
    size_t len;
    const struct part *part = lua_touserdata(L, 1);
    if (!dw_lua_to_secret(L, 1).at)
        return luaL_error(L, "equals is asked of the secret: password:equals(text)");
    const char *text = luaL_checklstring(L, 2, &len);
    const struct dw_span *secret = dw_field_at(live(L, part->box), part->field);
    if (secret->at == dw_secret_unknown)
        return luaL_error(L, "the password is not known: it stands in no journal");
    size_t least = len < secret->len ? len : secret->len;
    bool same = CRYPTO_memcmp(text, secret->at, least) == 0;
    lua_pushboolean(L, same && len == secret->len);
    return 1;
}

struct dw_span dw_lua_to_secret(lua_State *L, int index)
{
    const struct part *part = lua_touserdata(L, index);
    if (!part || !lua_getmetatable(L, index))
        return DW_SPAN_NONE;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &secret_key);
    bool is_secret = lua_istable(L, -1) && lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_secret ? *(const struct dw_span *)dw_field_at(live(L, part->box), part->field) : DW_SPAN_NONE;
}

/* password:verify(hash) */
static int secret_verify(lua_State *L)
{
    struct dw_span secret = dw_lua_to_secret(L, 1);
    if (!secret.at)
        return luaL_error(L, "verify is asked of the secret: password:verify(hash)");
    return dw_lua_verify_secret(L, secret, 2);
}

static int secret_index(lua_State *L)
{
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(name, "equals") == 0)
        lua_pushcfunction(L, secret_equals);
    else if (strcmp(name, "verify") == 0)
        lua_pushcfunction(L, secret_verify);
    else
        return luaL_error(L, "a secret has no '%s': there are secret:equals(text) and secret:verify(hash)",
                          luaL_tolstring(L, 2, NULL));
    return 1;
}

static void make_metatable(lua_State *L, const char *key, const char *name, lua_CFunction text)
{
    /* __index is on top. */
    lua_createtable(L, 0, 5);
    lua_insert(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, read_only);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, text);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void dw_lua_open_event(lua_State *L)
{
    lua_newtable(L);
    for (int i = 0; dw_event_fields[i].name; i++) {
        lua_pushinteger(L, i);
        lua_setfield(L, -2, dw_event_fields[i].name);
    }
    lua_pushcclosure(L, event_index, 1);
    make_metatable(L, &event_key, "durward.Event", event_tostring);
    lua_pushcfunction(L, group_index);
    make_metatable(L, &group_key, "durward.Event.Part", group_tostring);
    lua_pushcfunction(L, secret_index);
    make_metatable(L, &secret_key, "durward.Secret", secret_tostring);
}

struct dw_event_box *dw_lua_push_event(lua_State *L, struct dw_event *event)
{
    struct dw_event_box *box = lua_newuserdatauv(L, sizeof *box, SLOTS);
    box->event = event;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &event_key);
    lua_setmetatable(L, -2);
    return box;
}
