--- Matchers: functions of an event that say whether it is so, and if not, why not.
--
-- Each is built once, when the policy is loaded, from one or more words; several words are alternatives.
-- A mistaken word is an error at the line that holds it.

local core = require("durward.core")
local principals = require("durward.principal")
local zones = require("durward.zone")
local groups = require("durward.groups")

---@alias durward.Matcher fun(event: durward.Event): boolean, string?

---@class durward.match
local match = {}

local FRONTS = { "zmtp", "zap", "xmpp", "dovecot" }

local function misuse(name, message, ...)
  core.misuse(("match.%s: " .. message):format(name, ...))
end

local function words_of(name, ...)
  local words = select("#", ...) == 1 and type(...) == "table" and ... or table.pack(...)
  local list = {}
  if (words.n or #words) == 0 then
    misuse(name, "expected at least one word")
  end
  for i = 1, words.n or #words do
    local word = words[i]
    if type(word) ~= "string" or word == "" then
      misuse(name, "expected words, got %s", word == "" and "an empty one" or type(word))
    end
    list[i] = word
  end
  return list
end

local function set_of(list)
  local set = {}
  for _, word in ipairs(list) do
    set[word] = true
  end
  return set
end

-- A function of a text: whether one of the words, with '*' and '?' in them, is like it.
local function globs_of(list)
  local exact, globs = {}, {}
  for _, word in ipairs(list) do
    if word:find("[*?]") then
      globs[#globs + 1] = core.glob(word)
    else
      exact[word] = true
    end
  end
  return function(text)
    if exact[text] then
      return true
    end
    for i = 1, #globs do
      if globs[i](text) then
        return true
      end
    end
    return false
  end
end

--- The client's realm is one of these.
---@param ... string
---@return durward.Matcher
function match.realm(...)
  local set = set_of(words_of("realm", ...))
  return function(event)
    local principal = event.principal
    if not principal then
      return false, "no principal"
    end
    local realm = principal.realm
    if set[realm] then
      return true
    end
    return false, "realm is " .. realm
  end
end

-- A name's pattern, part by part, so that no '*' reaches over a '/' or '@'.
local function principal_pattern(text)
  local parsed, why = principals.parse(text)
  if not parsed then
    misuse("principal", "'%s': %s", text, why)
  end
  local realm, parts = core.glob(parsed.realm), {}
  for i, part in ipairs(parsed.components) do
    parts[i] = core.glob(part)
  end
  return function(principal)
    local components = principal.components
    if #components ~= #parts or not realm(principal.realm) then
      return false
    end
    for i = 1, #parts do
      if not parts[i](components[i]) then
        return false
      end
    end
    return true
  end
end

--- The client's full name is like one of these: "alice@HOME.EXAMPLE", "*/admin@HOME.EXAMPLE", "host/*@*".
--- A '*' stays within its component.
---@param ... string
---@return durward.Matcher
function match.principal(...)
  local exact, patterns = {}, {}
  for _, text in ipairs(words_of("principal", ...)) do
    if not text:find("@", 1, true) then
      misuse("principal", "'%s' names no realm, as in '%s@HOME.EXAMPLE'", text, text)
    end
    local pattern = principal_pattern(text)
    if text:find("[*?]") then
      patterns[#patterns + 1] = pattern
    else
      exact[principals.format(principals.parse(text))] = true
    end
  end
  return function(event)
    local principal = event.principal
    if not principal then
      return false, "no principal"
    end
    local name = principal.name
    if exact[name] then
      return true
    end
    for i = 1, #patterns do
      if patterns[i](principal) then
        return true
      end
    end
    return false, "principal is " .. name
  end
end

--- The first component of the client's name: "alice" of alice/admin@HOME.EXAMPLE.
---@param ... string
---@return durward.Matcher
function match.primary(...)
  local like = globs_of(words_of("primary", ...))
  return function(event)
    local principal = event.principal
    if not principal then
      return false, "no principal"
    elseif like(principal.primary) then
      return true
    end
    return false, "primary is " .. principal.primary
  end
end

--- The second component of the client's name: "admin" of alice/admin@HOME.EXAMPLE.
---@param ... string
---@return durward.Matcher
function match.instance(...)
  local like = globs_of(words_of("instance", ...))
  return function(event)
    local instance = event.principal and event.principal.instance
    if not instance then
      return false, "no instance"
    elseif like(instance) then
      return true
    end
    return false, "instance is " .. instance
  end
end

-- A matcher of one field that holds text.
local function by_field(field, like)
  local missing = "no " .. field
  return function(event)
    local value = event[field]
    if not value then
      return false, missing
    elseif like(value) then
      return true
    end
    return false, field .. " is " .. value
  end
end

--- The user that `map` named.
---@param ... string
---@return durward.Matcher
function match.user(...)
  return by_field("user", globs_of(words_of("user", ...)))
end

--- The configured name of the listener.
---@param ... string
---@return durward.Matcher
function match.listener(...)
  return by_field("listener", globs_of(words_of("listener", ...)))
end

--- "GSSAPI", "PLAIN", "CURVE", "NULL", ..
---@param ... string
---@return durward.Matcher
function match.mechanism(...)
  return by_field("mechanism", globs_of(words_of("mechanism", ...)))
end

--- XMPP's domain or ZAP's; compared without case.
---@param ... string
---@return durward.Matcher
function match.domain(...)
  local list = {}
  for i, word in ipairs(words_of("domain", ...)) do
    list[i] = word:lower()
  end
  local like = globs_of(list)
  return by_field("domain", function(domain)
    return like(domain:lower())
  end)
end

--- "zmtp", "zap", "xmpp" or "dovecot".
---@param ... string
---@return durward.Matcher
function match.front(...)
  local list = words_of("front", ...)
  local known = set_of(FRONTS)
  for _, word in ipairs(list) do
    if not known[word] then
      local nearest = core.nearest(word, FRONTS)
      misuse("front", "there is no front '%s'%s", word, nearest and (", did you mean '%s'?"):format(nearest) or "")
    end
  end
  return by_field("front", globs_of(list))
end

--- The service that the client's ticket is for: "zmq", "zmq/broker.example.com" or with "@REALM"; what is left
--- out may be anything.
---@param ... string
---@return durward.Matcher
function match.service(...)
  local likes = {}
  for i, word in ipairs(words_of("service", ...)) do
    local whole = word
    if not word:find("@", 1, true) then
      whole = (word:find("/", 1, true) and word or word .. "/*") .. "@*"
    end
    likes[i] = whole
  end
  return by_field("service", globs_of(likes))
end

--- The peer's address is in one of these networks: "192.0.2.0/24", "2001:db8::/32", "::1".
---@param ... string
---@return durward.Matcher
function match.peer(...)
  local networks = {}
  for i, word in ipairs(words_of("peer", ...)) do
    local network, why = core.network(word)
    if not network then
      misuse("peer", "%s", why)
    end
    networks[i] = network
  end
  return function(event)
    local address = event.peer.address
    if not address then
      return false, "no peer address"
    end
    for i = 1, #networks do
      if networks[i](address) then
        return true
      end
    end
    return false, "peer is " .. address
  end
end

--- The ticket carries one of these authentication indicators (RFC 8129).
---@param ... string
---@return durward.Matcher
function match.indicator(...)
  local set = set_of(words_of("indicator", ...))
  return function(event)
    local had = event.gss and event.gss.indicators
    if not had then
      return false, "no authentication indicators"
    end
    for i = 1, #had do
      if set[had[i]] then
        return true
      end
    end
    return false, "indicators are " .. table.concat(had, ", ")
  end
end

--- What the client sends can be read by nobody else.
---@return durward.Matcher
function match.confidential()
  return function(event)
    local gss, tls = event.gss, event.tls
    if (gss and gss.confidential) or (tls and tls.version) or event.curve then
      return true
    end
    return false, "not confidential"
  end
end

--- The client's realm is another than ours.
---@return durward.Matcher
function match.cross_realm()
  return function(event)
    if event.gss and event.gss.cross_realm then
      return true
    end
    return false, "not from another realm"
  end
end

local DAYS = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" }
local TIME_WORDS = { "days", "from", "to", "zone" }

local function day_of(text)
  for i, name in ipairs(DAYS) do
    if name == text then
      return i
    end
  end
  local nearest = core.nearest(text, DAYS)
  misuse("time", "there is no day '%s'%s", text, nearest and (", did you mean '%s'?"):format(nearest)
    or ": there are Mon, Tue, Wed, Thu, Fri, Sat and Sun")
end

-- "Mon-Fri", "Sat,Sun", "Fri-Mon": a set of the days' numbers.
local function days_of(text)
  local set = {}
  if type(text) ~= "string" or text == "" then
    misuse("time", "days is %s, not a text such as \"Mon-Fri\" or \"Sat,Sun\"", text == "" and "empty" or type(text))
  end
  for part in (text .. ","):gmatch("%s*([^,]*)%s*,") do
    local first, last = part:match("^(%S+)%s*%-%s*(%S+)%s*$")
    local day = day_of(first or part:match("^(%S*)%s*$") or part)
    local stop = last and day_of(last) or day
    set[day] = true
    while day ~= stop do
      day = day % 7 + 1
      set[day] = true
    end
  end
  return set
end

-- "08:30" in seconds.
local function second_of(name, text)
  local hour, minute = nil, nil
  if type(text) == "string" then
    hour, minute = text:match("^(%d%d):(%d%d)$")
  end
  local second = hour and tonumber(hour) * 3600 + tonumber(minute) * 60
  if not second or tonumber(minute) > 59 or second > 24 * 3600 then
    misuse("time", "%s is %s, not a time such as \"08:30\"", name,
      type(text) == "string" and ("'%s'"):format(text) or "a " .. type(text))
  end
  return second
end

--- The clock on the wall says so: `match.time { days = "Mon-Fri", from = "08:00", to = "18:00", zone =
--- "Europe/Berlin" }`.  From `from` on, up to but without `to`; a window over midnight belongs to the day that it
--- begins on.  When clocks are set forward or back, what they show counts.
---@param window { days?: string, from?: string, to?: string, zone: string }
---@return durward.Matcher
function match.time(window, ...)
  if type(window) ~= "table" or select("#", ...) > 0 then
    misuse("time", "expected one table: match.time { days =, from =, to =, zone = }")
  end
  local known = set_of(TIME_WORDS)
  for key in pairs(window) do
    if not known[key] then
      local nearest = core.nearest(tostring(key), TIME_WORDS)
      misuse("time", "unknown field '%s'%s", tostring(key), nearest and (", did you mean '%s'?"):format(nearest) or "")
    end
  end
  if type(window.zone) ~= "string" then
    misuse("time", "name the time zone, as in zone = \"Europe/Berlin\" or zone = \"UTC\"")
  elseif not window.days and not window.from and not window.to then
    misuse("time", "every moment matches: give days, or from and to")
  elseif not window.from ~= not window.to then
    misuse("time", "from and to belong together")
  end
  local days = days_of(window.days or "Mon-Sun")
  local from = window.from and second_of("from", window.from) or 0
  local to = window.to and second_of("to", window.to) or 24 * 3600
  if from == to then
    misuse("time", "from and to are the same: leave both out for the whole day")
  elseif from == 24 * 3600 then
    misuse("time", "from is before 24:00")
  end
  local clock, why = zones.open(window.zone)
  if not clock then
    misuse("time", "%s", why)
  end
  return function(event)
    local day, second = clock(event.time)
    local yes
    if from < to then
      yes = days[day] and second >= from and second < to
    else
      yes = days[day] and second >= from or days[(day + 5) % 7 + 1] and second < to
    end
    if yes then
      return true
    end
    return false, ("it is %s %02d:%02d (%s)"):format(DAYS[day], second // 3600, second // 60 % 60, window.zone)
  end
end

--- The system (NSS) says that event.user is in one of these groups; asked off the loop, while others go on.  For a
--- group file of your own see durward.groups.file.
---@param ... string
---@return durward.Matcher
function match.group(...)
  return groups.member(...)
end

local function matchers_of(name, ...)
  local list = select("#", ...) == 1 and type(...) == "table" and ... or { ... }
  if #list == 0 then
    misuse(name, "expected at least one matcher")
  end
  for i, matcher in ipairs(list) do
    if type(matcher) ~= "function" then
      misuse(name, "matcher %d is a %s, not a function", i, type(matcher))
    end
  end
  return list
end

--- One of these matches.
---@param ... durward.Matcher
---@return durward.Matcher
function match.any(...)
  local list = matchers_of("any", ...)
  return function(event)
    local whys = {}
    for i = 1, #list do
      local yes, why = list[i](event)
      if yes then
        return true
      end
      whys[#whys + 1] = why
    end
    return false, table.concat(whys, ", ")
  end
end

--- All of these match.
---@param ... durward.Matcher
---@return durward.Matcher
function match.all(...)
  local list = matchers_of("all", ...)
  return function(event)
    for i = 1, #list do
      local yes, why = list[i](event)
      if not yes then
        return false, why
      end
    end
    return true
  end
end

--- None of these matches.
---@param ... durward.Matcher
---@return durward.Matcher
function match.none(...)
  local list = matchers_of("none", ...)
  return function(event)
    for i = 1, #list do
      if list[i](event) then
        return false, ("matcher %d of none holds"):format(i)
      end
    end
    return true
  end
end

return match
