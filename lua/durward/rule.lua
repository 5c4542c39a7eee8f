--- Rules: named sentences of a policy.
--
-- A rule is a function of an event that gives a decision or nil.  It is built once, knows its name and the line
-- that it stands on, and says in the trace of every question whether it matched, and if not, why not.

local core = require("durward.core")

---@alias durward.Rule fun(event: durward.Event): durward.Decision?

---@class durward.rule
local rule = {}

local function misuse(name, message, ...)
  core.misuse(("rule.%s: " .. message):format(name, ...))
end

-- Matchers, then, last, a table of what the decision grants or tells.
local function arguments(kind, name, ...)
  local list, fields = { ... }, nil
  if type(name) ~= "string" or name == "" then
    misuse(kind, "a rule starts with its name, a string; got %s", name == "" and "an empty one" or type(name))
  end
  if type(list[#list]) == "table" then
    fields = table.remove(list)
  end
  for i = 1, select("#", ...) - (fields and 1 or 0) do
    if type(list[i]) ~= "function" then
      misuse(kind, "'%s': matcher %d is a %s, not a function", name, i, type(list[i]))
    end
  end
  return list, fields
end

local function check(event, matchers, at)
  for i = 1, #matchers do
    local yes, why = matchers[i](event)
    if yes ~= true then
      if not yes then
        return false, why
      elseif core.is_decision(yes) then
        error(("%s: matcher %d gave a decision, not true or false"):format(at, i), 0)
      end
    end
  end
  return true
end

local function build(verdict, name, ...)
  local at = core.where() or "?"
  local matchers, fields = arguments(verdict, name, ...)
  if verdict ~= "allow" and not (fields and fields.reason) then
    local told = { reason = name }
    for key, value in pairs(fields or {}) do
      told[key] = value
    end
    fields = told
  end
  local decision = core.decision(verdict, fields, name)
  local matched = ("rule %q matched: %s"):format(name, verdict)
  local unmatched = ("rule %q did not match"):format(name)
  local step, cover = core.step, core.cover
  cover(at, name, false)
  return function(event)
    local yes, why = check(event, matchers, at)
    if yes then
      step(matched, at)
      cover(at, name, true)
      return decision
    end
    step(why and unmatched .. ": " .. tostring(why) or unmatched, at)
    return nil
  end
end

--- Lets in who matches every matcher.  A table at the end says what is granted, as durward.allow has it:
--- `rule.allow("staff", match.realm("HOME.EXAMPLE"), { backend = "tcp://127.0.0.1:5572" })`.
---@param name string
---@param ... durward.Matcher|durward.Allow
---@return durward.Rule
function rule.allow(name, ...)
  return (build("allow", name, ...))
end

--- Refuses who matches every matcher; a table at the end may hold the reason, which is else the rule's name.
---@param name string
---@param ... durward.Matcher|durward.Refusal
---@return durward.Rule
function rule.deny(name, ...)
  return (build("deny", name, ...))
end

--- Puts off who matches every matcher.
---@param name string
---@param ... durward.Matcher|durward.Refusal
---@return durward.Rule
function rule.temporary(name, ...)
  return (build("temporary", name, ...))
end

local function rules_of(kind, list, ...)
  if type(list) ~= "table" or select("#", ...) > 0 then
    misuse(kind, "expected one list of rules: rule.%s { .. }", kind)
  end
  local rules = {}
  for key in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 or key > #list then
      misuse(kind, "expected a list of rules; '%s' has no place in it", tostring(key))
    end
  end
  for i = 1, #list do
    if type(list[i]) ~= "function" then
      misuse(kind, "rule %d is a %s, not a rule", i, type(list[i]))
    end
    rules[i] = list[i]
  end
  if #rules == 0 then
    misuse(kind, "expected at least one rule")
  end
  return rules
end

--- The first rule that decides.  None: nil, which asks the next policy.
---@param list durward.Rule[]
---@return durward.Rule
function rule.first(list, ...)
  local rules = rules_of("first", list, ...)
  return function(event)
    for i = 1, #rules do
      local decision = rules[i](event)
      if decision ~= nil then
        return decision
      end
    end
    return nil
  end
end

--- Every rule has to allow: the first that refuses stands, one that does not decide leaves all undecided, and
--- when each allows, the last one's decision stands.
---@param list durward.Rule[]
---@return durward.Rule
function rule.all(list, ...)
  local rules = rules_of("all", list, ...)
  return function(event)
    local decision
    for i = 1, #rules do
      decision = rules[i](event)
      if decision == nil or not core.is_decision(decision) or decision.verdict ~= "allow" then
        return decision
      end
    end
    return decision
  end
end

return rule
