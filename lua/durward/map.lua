--- Maps: functions of an event that name the user, or give nil and why not.

local core = require("durward.core")
local a2l = require("durward.a2l")
local principals = require("durward.principal")

---@alias durward.Map fun(event: durward.Event): string?, string?

---@class durward.map
local map = {}

local function misuse(name, message, ...)
  core.misuse(("map.%s: " .. message):format(name, ...))
end

local function realms_of(name, ...)
  local words = select("#", ...) == 1 and type(...) == "table" and ... or { ... }
  local set = {}
  for i = 1, #words do
    if type(words[i]) ~= "string" or words[i] == "" then
      misuse(name, "expected the names of realms, got %s", type(words[i]))
    end
    set[words[i]] = true
  end
  if #words == 0 then
    misuse(name, "expected at least one realm, as in map.%s(.., \"HOME.EXAMPLE\")", name)
  end
  return set
end

--- alice@HOME.EXAMPLE is alice.  One component only: alice/admin is someone else.
---@param ... string  realms whose names are taken over
---@return durward.Map
function map.strip_realm(...)
  local realms = realms_of("strip_realm", ...)
  return function(event)
    local principal = event.principal
    if not principal then
      return nil, "no principal"
    elseif not realms[principal.realm] then
      return nil, "realm is " .. principal.realm
    elseif principal.instance then
      return nil, "the name has more than one component"
    end
    return principal.primary
  end
end

--- A user made of the parts of the name: %1, %2, .. are its components, %0 its realm, %% a '%'.  The name has as
--- many components as the template's highest number: `map.name("%1-%2", "HOME.EXAMPLE")` makes alice-admin of
--- alice/admin@HOME.EXAMPLE and leaves alice@HOME.EXAMPLE to others.
---@param template string
---@param ... string  realms whose names are taken
---@return durward.Map
function map.name(template, ...)
  if type(template) ~= "string" then
    misuse("name", "expected a template such as \"%%1-%%2\", got %s", type(template))
  end
  local most = 0
  for letter in template:gmatch("%%(.?)") do
    if not letter:find("^[%d%%]$") then
      misuse("name", "'%s': '%%%s' is none of %%0 to %%9 and %%%%", template, letter)
    end
    most = math.max(most, tonumber(letter) or 0)
  end
  if most == 0 then
    misuse("name", "'%s' holds no component of the name, %%1 or more", template)
  end
  local realms = realms_of("name", ...)
  return function(event)
    local principal = event.principal
    if not principal then
      return nil, "no principal"
    elseif not realms[principal.realm] then
      return nil, "realm is " .. principal.realm
    end
    local components = principal.components
    if #components ~= most then
      return nil, ("the name has %d component(s), not %d"):format(#components, most)
    end
    return (template:gsub("%%(.)", function(letter)
      if letter == "%" then
        return "%"
      elseif letter == "0" then
        return principal.realm
      end
      return components[tonumber(letter)]
    end))
  end
end

--- A table of full names: `map.table { ["alice@HOME.EXAMPLE"] = "alice" }`.
---@param users table<string, string>
---@return durward.Map
function map.table(users)
  if type(users) ~= "table" then
    misuse("table", "expected a table of principals and users, got %s", type(users))
  end
  local by_name = {}
  for name, user in pairs(users) do
    local principal, why
    if type(name) == "string" then
      principal, why = principals.parse(name)
    end
    if not principal then
      misuse("table", "%s", why or ("a key is a " .. type(name) .. ", not a principal"))
    elseif type(user) ~= "string" or user == "" then
      misuse("table", "the user of '%s' is %s", name, user == "" and "empty" or "a " .. type(user))
    end
    by_name[principals.format(principal)] = user
  end
  return function(event)
    local principal = event.principal
    if not principal then
      return nil, "no principal"
    end
    local user = by_name[principal.name]
    if not user then
      return nil, principal.name .. " is not in the table"
    end
    return user
  end
end

-- What each rule did with the name, a step each, and each of its substitutions.
local function tell_steps(rules, principal, at)
  local steps, user, why = rules:explain(principal)
  for _, step in ipairs(steps) do
    local name = step.rule and ("a2l rule %d"):format(step.rule) or "a2l names"
    core.step(("%s, %s: %s: %s"):format(name, step.text or "", step.outcome, step.why or ""), at)
    for _, edit in ipairs(step.substitutions) do
      local sentence = edit.count == 0 and "matched nothing" or ("%s -> %s"):format(edit.before, edit.after)
      core.step(("%s, s/%s/%s/%s: %s"):format(name, edit.pattern, edit.with, edit.global and "g" or "", sentence), at)
    end
  end
  return user, why
end

--- Kerberos' auth_to_local rules, as durward.a2l has them.
---@param rules any  what durward.a2l.compile takes, or gave
---@param options? table
---@return durward.Map
function map.a2l(rules, options)
  if type(rules) ~= "userdata" then
    local compiled, why = a2l.compile(rules, options)
    if not compiled then
      misuse("a2l", "%s", why)
    end
    rules = compiled
  end
  local at = core.where()
  return function(event)
    if not event.principal then
      return nil, "no principal"
    elseif core.is_detailed() then
      return tell_steps(rules, event.principal, at)
    end
    local user, why = rules:map(event.principal)
    return user, why
  end
end

--- The first map that names a user: `map.chain { a, b }`.
---@param maps durward.Map[]
---@return durward.Map
function map.chain(maps)
  if type(maps) ~= "table" or #maps == 0 then
    misuse("chain", "expected a list of maps: map.chain { .. }")
  end
  local list, at = {}, core.where()
  for i = 1, #maps do
    if type(maps[i]) ~= "function" then
      misuse("chain", "map %d is a %s, not a map", i, type(maps[i]))
    end
    list[i] = maps[i]
  end
  return function(event)
    local whys = {}
    for i = 1, #list do
      local user, why = list[i](event)
      if user ~= nil then
        return user
      end
      whys[#whys + 1] = why and tostring(why)
      if i < #list then
        core.step(("map %d of %d gave no user%s"):format(i, #list, why and ": " .. tostring(why) or ""), at)
      end
    end
    return nil, #whys > 0 and table.concat(whys, "; ") or nil
  end
end

--- The same user in lower case (ASCII letters).
---@param inner durward.Map
---@return durward.Map
function map.lower(inner)
  if type(inner) ~= "function" then
    misuse("lower", "expected a map, got %s", type(inner))
  end
  return function(event)
    local user, why = inner(event)
    if type(user) ~= "string" then
      return user, why
    end
    local lowered = user:lower()
    if lowered ~= user then
      core.step(("%s in lower case"):format(user))
    end
    return lowered
  end
end

return map
