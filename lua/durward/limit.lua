--- Limits that hold for the whole process, however many workers there are, and over a reload.
--
-- A limit has a name and counts by key: two limits of one name and key are one.  Time is the event's, so a spec
-- or a replay sees what the broker saw.  The table behind has 65536 places; the one used least lately goes.

local core = require("durward.core")
local counts = require("durward.limit.counts")

---@class durward.limit
local limit = {}

---@alias durward.limit.Key "peer"|"user"|"principal"|"domain"|fun(event: durward.Event): string?

local KEYS = {
  peer = function(event)
    local address = event.peer.address
    return address and counts.network(address)
  end,
  user = function(event)
    return event.user
  end,
  principal = function(event)
    return event.principal and event.principal.name
  end,
  username = function(event)
    return event.plain and event.plain.username
  end,
  domain = function(event)
    return event.domain and event.domain:lower()
  end,
}
local KEY_NAMES = { "peer", "user", "principal", "username", "domain" }

local function misuse(name, message, ...)
  core.misuse(("limit.%s: " .. message):format(name, ...))
end

local function hint(word, words)
  local nearest = core.nearest(word, words)
  return nearest and (", did you mean '%s'?"):format(nearest) or ""
end

-- Fields of the one table that both take; those that must be there are numbers above zero.
local function check(kind, fields, needed, known)
  if type(fields) ~= "table" then
    misuse(kind, "expected one table: limit.%s { name =, %s =, per =, key = }", kind, needed)
  end
  local is_known = {}
  for _, name in ipairs(known) do
    is_known[name] = true
  end
  for name in pairs(fields) do
    if not is_known[name] then
      misuse(kind, "unknown field '%s'%s", tostring(name), hint(tostring(name), known))
    end
  end
  if type(fields.name) ~= "string" or fields.name == "" then
    misuse(kind, "give it a name, by which it is the same in every worker and after a reload")
  end
  for _, name in ipairs { needed, "per", "burst" } do
    local value = fields[name]
    if not (name == "burst" and value == nil) and not (type(value) == "number" and value >= 1 and value < 2 ^ 53) then
      misuse(kind, "'%s': %s is %s, not a number from 1 on", fields.name, name,
        type(value) == "number" and tostring(value) or type(value))
    end
  end
  local key = fields.key
  if type(key) == "string" then
    if not KEYS[key] then
      misuse(kind, "'%s': there is no key '%s'%s", fields.name, key, hint(key, KEY_NAMES))
    end
    return KEYS[key]
  elseif type(key) ~= "function" then
    misuse(kind, "'%s': key is a %s, not \"peer\", \"user\", .. or a function of the event", fields.name, type(key))
  end
  return function(event)
    local value = key(event)
    if value ~= nil and type(value) ~= "string" then
      error(("limit '%s': its key function returned a %s, not text or nil"):format(fields.name, type(value)), 0)
    end
    return value
  end
end

--- A matcher that holds `count` times in `per` seconds for each key, and `burst` (else `count`) times at once.
--- Each time that it is asked and holds, it takes one.  Those without a key share one.
---@param fields { name: string, count: number, per: number, burst?: number, key: durward.limit.Key }
---@return durward.Matcher
function limit.bucket(fields)
  local key_of = check("bucket", fields, "count", { "name", "count", "per", "burst", "key" })
  local name, count, per = fields.name, fields.count, fields.per
  local most, rate = fields.burst or count, count / per
  return function(event)
    local key = key_of(event)
    local wait = counts.take(name, key or "", most, rate, event.time)
    if wait == 0 then
      return true
    end
    return false, ("%s: more than %g in %g seconds for %s, the next in %d"):format(name, count, per, key or "all",
      math.ceil(wait))
  end
end

---@class durward.limit.Failures
---@field within durward.Matcher  fewer than `most` are counted for this key
---@field add fun(event: durward.Event): integer  counts one, and says how many there are
---@field clear fun(event: durward.Event)  forgets those of this key, as after a success

--- Counts failures by key; a count is forgotten `per` seconds after it last grew.
---@param fields { name: string, most: number, per: number, key: durward.limit.Key }
---@return durward.limit.Failures
function limit.failures(fields)
  local key_of = check("failures", fields, "most", { "name", "most", "per", "key" })
  local name, most, per = fields.name, fields.most, fields.per
  return {
    within = function(event)
      local key = key_of(event)
      local had = counts.add(name, key or "", 0, per, event.time)
      if had < most then
        return true
      end
      return false, ("%s: %d for %s, forgotten %g seconds after the last"):format(name, math.floor(had),
        key or "all", per)
    end,
    add = function(event)
      local had = counts.add(name, key_of(event) or "", 1, per, event.time)
      return math.floor(had)
    end,
    clear = function(event)
      counts.clear(name, key_of(event) or "")
    end,
  }
end

return limit
